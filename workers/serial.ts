// The serial of a page: the number of the snapshot that first named it, which every page carries in its signed bytes. State:
// none. Warehouse says the same in the header `X-PyPI-Last-Serial`; mirrors ask for nothing older.

const JSON_SERIAL = /^\{"meta":\{"_last-serial":(\d{1,15}),/
const HTML_SERIAL = /<!--SERIAL (\d{1,15})-->\n$/

/** The serial that a page of ours carries, of either form; it stands within 60 bytes of one end. */
export function serialOf(bytes: Uint8Array): number | undefined {
  const text = (part: Uint8Array) => new TextDecoder().decode(part)
  const found = JSON_SERIAL.exec(text(bytes.subarray(0, 60))) ?? HTML_SERIAL.exec(text(bytes.subarray(-60)))
  return found ? Number(found[1]) : undefined
}
