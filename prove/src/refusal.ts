/** Why a run cannot start or prove anything. The message is one line for the person who started it. */
export class CannotProve extends Error {}
