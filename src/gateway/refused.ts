import { Problem } from '../problem.ts'

/** Why a question is refused whoever asks it; for the log only. */
export type QuestionFault =
  | 'request_target'
  | 'unknown_parameter'
  | 'repeated_parameter'
  | `invalid_${'parameters' | 'access' | 'user_id' | 'owner' | 'scope' | 'max_age' | 'acr'}`
  | `original_path_${'missing' | 'differs' | 'invalid' | 'unmatched'}`

/** 403 with or without a token (fail closed): a fault in a gateway's file must not let a request pass. */
export function refused(fault: QuestionFault): Problem {
  return new Problem('not_owner', { reason: fault })
}
