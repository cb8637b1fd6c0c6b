import { NodeFS } from '@electric-sql/pglite/nodefs'

interface Attributes {
  readonly mode?: number | null
}

/** The parts of Emscripten's NODEFS that create files and set modes. */
interface NodeFiles {
  readonly node_ops: {
    mknod(parent: unknown, name: string, mode: number, dev: number): unknown
    setattr(node: unknown, attributes: Attributes): void
  }
  readonly stream_ops: { setattr(stream: unknown, attributes: Attributes): void }
}

/** Keeps the embedded database's files private: PGlite sets their modes itself, regardless of the umask. */
export class PrivateFiles extends NodeFS {
  override async init(...[pglite, options]: Parameters<NodeFS['init']>): ReturnType<NodeFS['init']> {
    const { emscriptenOpts } = await super.init(pglite, options)
    const restrict = (module: object) => restrictModes((module as { NODEFS: NodeFiles }).NODEFS)
    return {
      emscriptenOpts: { ...emscriptenOpts, preRun: [restrict, ...[emscriptenOpts.preRun ?? []].flat()] },
    }
  }
}

function restrictModes({ node_ops: nodes, stream_ops: streams }: NodeFiles): void {
  const { mknod, setattr } = nodes
  const { setattr: setStreamAttr } = streams
  const restricted = (attributes: Attributes) =>
    attributes.mode == null ? attributes : { ...attributes, mode: attributes.mode & ~0o077 }
  nodes.mknod = (parent, name, mode, dev) => mknod(parent, name, mode & ~0o077, dev)
  nodes.setattr = (node, attributes) => setattr(node, restricted(attributes))
  streams.setattr = (stream, attributes) => setStreamAttr(stream, restricted(attributes))
}
