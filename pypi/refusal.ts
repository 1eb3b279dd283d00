// What an uploader is told when the answer is no. A Refusal is the only error that parsers of pypi/ throw for bad input;
// anything else that leaves them is a fault of ours or of the stream underneath. Its message is one sentence that says
// what is wrong and what to do: twine and uv print it as it is.

/** 400 bad input · 410 an action that is gone for good · 413 more bytes than the index takes. */
export type RefusalStatus = 400 | 410 | 413

/** Bad input, told in one sentence for the person who uploads. */
export class Refusal extends Error {
  readonly status: RefusalStatus

  constructor(message: string, status: RefusalStatus = 400) {
    super(message)
    this.name = 'Refusal'
    this.status = status
  }
}

/** Of a 401, alone for every cause. Its first sentence is Warehouse's: people search for it. */
export const UNAUTHENTICATED =
  'Invalid or non-existent authentication information. It takes a token of this index: whoever runs it makes one with `tuf-edge token create`; `npm start` shows one.'

/** Longest piece of somebody else's text repeated in a message, as it is shown, in UTF-16 units: one terminal line. */
const SHOWN_MAX = 100

// Control, format (bidi overrides), surrogate and separator characters: they would rewrite the reader's terminal.
const UNSHOWABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/u

/** Somebody else's text in quotes, with unprintable characters escaped and cut, safe inside a message. */
export function shown(text: string): string {
  let escaped = ''
  for (const character of text) {
    const piece = UNSHOWABLE.test(character) ? `\\u{${character.codePointAt(0)!.toString(16)}}` : character
    if (escaped.length + piece.length > SHOWN_MAX) return `'${escaped}…'`
    escaped += piece
  }
  return `'${escaped}'`
}
