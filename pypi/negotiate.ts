// Which form of a simple page an `Accept` header asks for (PEP 691). State: none.
// Rules: q-values decide; order does not; on a tie the richer form wins; a client that says nothing, or only `*/*`, is an
// old one and gets HTML.

/** A form of a page: PEP 691 JSON, PEP 691 HTML, or the same HTML called `text/html`. */
export type PageForm = 'json' | 'html' | 'text-html'

/** `Content-Type` of each form, richest first. */
export const PAGE_TYPES: Readonly<Record<PageForm, string>> = {
  json: 'application/vnd.pypi.simple.v1+json',
  html: 'application/vnd.pypi.simple.v1+html',
  'text-html': 'text/html',
}

const FORMS: readonly PageForm[] = ['json', 'html', 'text-html']

const FORM_OF: ReadonlyMap<string, PageForm> = new Map([
  ...FORMS.map((form) => [PAGE_TYPES[form], form] as const),
  ['application/vnd.pypi.simple.latest+json', 'json'] as const,
  ['application/vnd.pypi.simple.latest+html', 'html'] as const,
])

interface Wish {
  readonly q: number
  /** 2 the type itself · 1 `type/*` · 0 `*\/*`: the more specific one decides (RFC 9110, 12.5.1). */
  readonly precision: 0 | 1 | 2
}

/** Parts of one media range, or null if it is malformed: a header is never refused for one bad member. */
function parseRange(text: string): { type: string; q: number } | null {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase())
  if (!type.includes('/')) return null
  const weight = parameters.find((parameter) => parameter.startsWith('q='))
  if (weight === undefined) return { type, q: 1 }
  return /^q=(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(weight) ? { type, q: Number(weight.slice(2)) } : null
}

function formsOf(type: string): { forms: readonly PageForm[]; precision: 0 | 1 | 2 } {
  const form = FORM_OF.get(type)
  if (form) return { forms: [form], precision: 2 }
  if (type === '*/*') return { forms: FORMS, precision: 0 }
  if (!type.endsWith('/*')) return { forms: [], precision: 2 }
  return { forms: FORMS.filter((each) => PAGE_TYPES[each].startsWith(type.slice(0, -1))), precision: 1 }
}

/**
 * The form to answer, or null: nothing this index has is acceptable (406).
 *
 * @param accept the `Accept` header, null if absent
 * @param format `?format=`, a media type that overrides the header (PEP 691); null if absent. A `+` that the query
 *   string's decoding turned into a space is understood.
 */
export function chooseForm(accept: string | null, format: string | null = null): PageForm | null {
  if (format !== null) return FORM_OF.get(format.trim().toLowerCase().replace(' ', '+')) ?? null
  if (accept === null || accept.trim() === '') return 'text-html'
  const wishes = new Map<PageForm, Wish>()
  for (const text of accept.split(',')) {
    const range = parseRange(text)
    if (!range) continue
    const { forms, precision } = formsOf(range.type)
    for (const form of forms) {
      const before = wishes.get(form)
      // `v1+json` and `latest+json` are one form: the friendlier of two equally precise wishes counts.
      if (!before || precision > before.precision || (precision === before.precision && range.q > before.q))
        wishes.set(form, { q: range.q, precision })
    }
  }
  let best: { form: PageForm; wish: Wish } | null = null
  for (const form of FORMS) {
    const wish = wishes.get(form)
    if (!wish || wish.q === 0) continue
    const named = Math.min(wish.precision, 1)
    const bestNamed = best ? Math.min(best.wish.precision, 1) : 0
    const better =
      !best ||
      wish.q > best.wish.q ||
      // Equal weight: a form that was named beats one that only `*/*` covers; of those, plain HTML.
      (wish.q === best.wish.q && (named > bestNamed || (named === 0 && bestNamed === 0 && form === 'text-html')))
    if (better) best = { form, wish }
  }
  return best?.form ?? null
}

/** Value of `Content-Type` for a form, as pip checks it (by prefix) and uv accepts it. */
export function contentTypeOf(form: PageForm): string {
  return form === 'text-html' ? `${PAGE_TYPES[form]}; charset=utf-8` : PAGE_TYPES[form]
}
