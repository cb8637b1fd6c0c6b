/** Folders with the TypeScript that is compiled into dist/. */
export const sourceFolders = [
  'src',
  'plugins',
  'routes',
  'test',
  'scripts',
  'bench',
  'examples',
  'client/src',
  'prove/src',
]
