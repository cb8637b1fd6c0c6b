/** The command cannot be carried out as it was given; nothing is written. */
export class Refused extends Error {
  override name = 'Refused'
}
