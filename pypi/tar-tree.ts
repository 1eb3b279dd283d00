// What an unpacker would make of a tar archive, kept as names. State: files and links, folders, links alone.
// Invariants: every path is below the top folder; a path is one thing only; nothing lies below a link, and every link
// leads to a place below the top folder whatever other links exist by then.
import { EntryNames } from './entry-names.ts'
import { TAR_MEMBERS_MAX } from './limits.ts'
import { Refusal, shown } from './refusal.ts'

/** The files, folders and links below one top folder. */
export class TarTree {
  /** Files and links. */
  readonly names = new EntryNames('sdist', TAR_MEMBERS_MAX)
  readonly #top: string
  readonly #folders = new EntryNames('sdist', TAR_MEMBERS_MAX)
  readonly #links = new Set<string>()

  constructor(top: string) {
    this.#top = top
  }

  addFile(path: string): void {
    if (this.#folders.has(path)) throw this.#complain(path, 'both as a file and as a folder')
    this.#placeParents(path)
    this.names.add(path)
  }

  /** A folder may come again: nothing is lost by it. */
  addFolder(name: string): void {
    const path = name.endsWith('/') ? name.slice(0, -1) : name
    if (path === this.#top || this.#folders.has(path)) return
    if (this.names.has(path)) throw this.#complain(path, 'both as a file and as a folder')
    this.#placeParents(path)
    this.#folders.add(path)
  }

  addSymlink(path: string, target: string): void {
    this.addFile(path)
    this.#links.add(path)
    // `..` only at the start: after another segment, which may itself be a link, it goes up from wherever that leads.
    const segments = target.split('/').filter((segment) => segment !== '' && segment !== '.')
    const firstDown = segments.findIndex((segment) => segment !== '..')
    const up = firstDown < 0 ? segments.length : firstDown
    const depthBelowTop = path.split('/').length - 2
    const leaves = up > depthBelowTop || segments.slice(up).includes('..')
    if (leaves || segments.length === 0 || /^\/|^[A-Za-z]:|\\/.test(target))
      throw this.#complain(path, `as a link to ${shown(target)}: links must stay in ${shown(`${this.#top}/`)}`)
  }

  /** A hard link names a file that came before, by its path in the archive; one to a link would be that link elsewhere. */
  addHardLink(path: string, target: string): void {
    this.addFile(path)
    if (path === target || !this.names.has(target) || this.#links.has(target))
      throw this.#complain(path, `as a hard link to ${shown(target)}, which is no file before it`)
  }

  #complain(path: string, why: string): Refusal {
    return new Refusal(`The sdist has the member ${shown(path)} ${why}.`)
  }

  #placeParents(path: string): void {
    if (!path.startsWith(`${this.#top}/`))
      throw this.#complain(path, `outside its top folder ${shown(`${this.#top}/`)}`)
    for (let at = path.lastIndexOf('/'); at > this.#top.length; at = path.lastIndexOf('/', at - 1)) {
      const parent = path.slice(0, at)
      if (this.#folders.has(parent)) return // and its parents with it
      if (this.names.has(parent)) throw this.#complain(path, 'below a file or link')
      this.#folders.add(parent)
    }
  }
}
