/** Why something of a user is not in the export, in words for the operator and the reviewer. */
export type Reason = string

/** A table with rows of users, and what of them is exported. */
export interface ExportedTable {
  readonly table: string
  /** The column with the user. */
  readonly owner: string
  readonly columns: readonly string[]
  /** Columns that never leave: hashes, MACs, and what secrets are made of. */
  readonly withheld: Readonly<Record<string, Reason>>
  /** Columns by which the rows of one user are ordered, unique together; they may be withheld. */
  readonly key: readonly [string, ...string[]]
}
