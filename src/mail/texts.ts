import type { MailName } from './kinds.ts'

/**
 * Texts of one mail: paragraphs, with the button between `before` and `after`. `{placeholders}` are the fields of
 * {@link Values}, inserted as plain text.
 */
export interface MailText {
  readonly subject: string
  readonly heading: string
  readonly before: readonly string[]
  /** Added to `before` when a reset by the link erases the account's data. */
  readonly beforeAnew?: readonly string[]
  /** Label of the button; undefined for a mail without a link. */
  readonly button?: string
  readonly after: readonly string[]
}

/** Texts of all mails in one language. A translation is another object of this type. */
export interface Texts {
  /** BCP 47. */
  readonly language: string
  readonly greeting: string
  readonly linkHint: string
  readonly footer: string
  readonly mails: Readonly<Record<MailName, MailText>>
}

export interface Values {
  /** Name of the service. */
  readonly service: string
  /** The recipient. */
  readonly address: string
  /** Lifetime of the link, in words. */
  readonly lifetime: string
  readonly time: string
  readonly ip: string
  readonly name: string
}

const notYou =
  'If it was not you, somebody else can read your mail or knows your password: set a new one at once with “forgot password”, which ends every session.'

const anew =
  'This address has never been confirmed. A password that is set here begins the account anew: its name and everything stored in it are removed, and nobody who was in it stays. If you made the account and want to keep what is in it, do not use this link: ask {service} for another mail to confirm the address first.'

export const english: Texts = {
  language: 'en',
  greeting: 'Hello {name},',
  linkHint: 'If the button does not work, open this address:',
  footer: 'This mail was sent by {service}. Nobody reads replies to it.',
  mails: {
    verify_email: {
      subject: 'Confirm your address for {service}',
      heading: 'Confirm your address',
      before: [
        'Somebody has signed up to {service} with this address. If that was you, confirm that it is yours.',
      ],
      button: 'Confirm this address',
      after: [
        'The link works once, for {lifetime}.',
        'If it was not you, do not confirm: whoever signed up chose the password and may be in the account. Without you nothing happens. If you want an account with this address, use “forgot password”, which begins it anew.',
      ],
    },
    choose_password: {
      subject: 'Choose a password for {service}',
      heading: 'Choose a password',
      before: [
        'Somebody has signed up to {service} with this address, and it has not been the first time. Only you know which of the passwords was yours. If you want the account, choose a new one: no other counts then.',
      ],
      beforeAnew: [anew],
      button: 'Choose a password',
      after: [
        'The link works once, for {lifetime}.',
        'If it was not you, ignore this mail. Without you nothing happens.',
      ],
    },
    invitation: {
      subject: 'You are invited to {service}',
      heading: 'You are invited',
      before: ['{service} has made an account for you with this address. Choose a password to use it.'],
      button: 'Choose a password',
      after: [
        'The link works once, for {lifetime}. After that, use “forgot password”.',
        'If you do not want the account, ignore this mail. Without a password nobody can log in.',
      ],
    },
    reset_password: {
      subject: 'Set a new password for {service}',
      heading: 'Set a new password',
      before: ['Somebody has asked to set a new password for your account at {service}.'],
      beforeAnew: [anew],
      button: 'Set a new password',
      after: [
        'The link works once, for {lifetime}. The new password ends every open session.',
        'If it was not you, ignore this mail. Your password stays as it is.',
      ],
    },
    already_registered: {
      subject: 'You already have an account at {service}',
      heading: 'You already have an account',
      before: [
        'Somebody has given this address to {service}, for a new account or as the new address of another one. It belongs to your account, so nothing was changed.',
      ],
      after: [
        'If it was you, log in with this address; if the password is lost, use “forgot password”.',
        'If it was not you, ignore this mail.',
      ],
    },
    confirm_email_change: {
      subject: 'Confirm your new address for {service}',
      heading: 'Confirm your new address',
      before: [
        'Somebody wants to use this address for an account at {service}. If that was you, confirm that it is yours.',
      ],
      button: 'Confirm this address',
      after: [
        'The link works once, for {lifetime}. It ends every open session of the account: log in again with the new address.',
        'If it was not you, ignore this mail. Without you nothing happens.',
      ],
    },
    password_changed: {
      subject: 'Your password at {service} was changed',
      heading: 'Your password was changed',
      before: [
        'The password of your account at {service} was changed. All other sessions have ended.',
        'When: {time}. From: {ip}.',
      ],
      after: [`If it was you, there is nothing to do. ${notYou}`],
    },
    password_reset: {
      subject: 'A new password was set for {service}',
      heading: 'A new password was set',
      before: [
        'A new password was set for your account at {service}, with a link from a mail to this address. Every session has ended.',
        'When: {time}. From: {ip}.',
      ],
      after: [`If it was you, there is nothing to do. ${notYou}`],
    },
    email_change_requested: {
      subject: 'Another address was asked for at {service}',
      heading: 'Another address was asked for',
      before: [
        'Somebody who knows your password has asked {service} to change the address of your account. It changes once the new address is confirmed.',
        'When: {time}. From: {ip}.',
        'If it was you, there is nothing to do. If it was not you, keep this address: set a new password, which takes the change back even if it has been made, and ends every session.',
      ],
      button: 'Keep this address',
      after: ['The link works once, for {lifetime}.'],
    },
    email_changed: {
      subject: 'The address of your account at {service} was changed',
      heading: 'Your address was changed',
      before: [
        'Your account at {service} has another address now, and {address} no longer belongs to it. Every session has ended.',
        'When: {time}. From: {ip}.',
      ],
      after: [
        'If it was you, there is nothing to do. If it was not you, use the link of the mail that came when the change was asked for: it gives the account this address again. Without that mail, tell whoever runs {service} at once.',
      ],
    },
    api_key_created: {
      subject: 'A new API key of your account at {service}',
      heading: 'A new API key was made',
      before: [
        'A new API key was made for your account at {service}. With it, a program can use the account without its password, until the key expires or is ended.',
        'When: {time}. From: {ip}.',
      ],
      after: [
        'If it was you, there is nothing to do. If it was not you, somebody else has been in your account: set a new password at once with “forgot password”, which ends every session and every key.',
      ],
    },
    refresh_token_reused: {
      subject: 'A session at {service} was ended for your safety',
      heading: 'A session was ended',
      before: [
        'Two parties used one session of your account at {service}, so one of them may have stolen it. The session was ended for both.',
        'When: {time}. From: {ip}.',
      ],
      after: [
        'Sometimes this happens to a device that was restored from a backup. If you cannot explain it, set a new password, which ends all other sessions.',
      ],
    },
    factor_added: {
      subject: 'A second factor was added to your account at {service}',
      heading: 'A second factor was added',
      before: [
        'Your account at {service} now asks for a code of an authenticator app at each login. All other sessions have ended.',
        'When: {time}. From: {ip}.',
      ],
      after: [
        'If it was you, keep the recovery codes in a safe place, apart from the device with the app.',
        'If it was not you, somebody knows your password. Tell whoever runs {service} at once: only they can remove the factor.',
      ],
    },
    factor_removed: {
      subject: 'The second factor of your account at {service} was removed',
      heading: 'The second factor was removed',
      before: [
        'Your account at {service} no longer asks for a code at a login. Its recovery codes work no more, and all other sessions have ended.',
        'When: {time}. From: {ip}.',
      ],
      after: [`If it was you, or you asked {service} for it, there is nothing to do. ${notYou}`],
    },
    second_factor_failed: {
      subject: 'A wrong code was given for your account at {service}',
      heading: 'A wrong code was given',
      before: [
        'Somebody gave a wrong code of the second factor for your account at {service}. At a login, the right password came before it.',
        'When: {time}. From: {ip}.',
      ],
      after: [
        'If it was you, there is nothing to do.',
        'If it was not you, somebody knows your password, and the code has kept them out: set a new password at once.',
      ],
    },
    recovery_code_used: {
      subject: 'A recovery code was used for your account at {service}',
      heading: 'A recovery code was used',
      before: [
        'One of the recovery codes of your account at {service} was used in place of a code of your authenticator app. It does not work again.',
        'When: {time}. From: {ip}.',
      ],
      after: [
        'If it was you, get new codes before the last one is used. If the device is lost, remove the factor and add another.',
        `If it was not you, the codes are in other hands: get new ones. ${notYou}`,
      ],
    },
    recovery_codes_replaced: {
      subject: 'New recovery codes for your account at {service}',
      heading: 'Your recovery codes were replaced',
      before: [
        'Your account at {service} has new recovery codes, and the old ones work no more.',
        'When: {time}. From: {ip}.',
      ],
      after: [`If it was you, there is nothing to do. ${notYou}`],
    },
  },
}
