// PEP 691 negotiation with the headers that clients send.
import { describe, expect, it } from 'vitest'
import { chooseForm, contentTypeOf } from '../../../pypi/negotiate.ts'

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json'
const HTML_TYPE = 'application/vnd.pypi.simple.v1+html'

describe('the form of a page', () => {
  const table: [string, string | null, ReturnType<typeof chooseForm>][] = [
    ['pip, pdm', `${JSON_TYPE}, ${HTML_TYPE}; q=0.1, text/html; q=0.01`, 'json'],
    ['uv', `${JSON_TYPE}, ${HTML_TYPE};q=0.2, text/html;q=0.01`, 'json'],
    ['poetry', `${JSON_TYPE}, */*;q=0.1`, 'json'],
    ['curl, hatch', '*/*', 'text-html'],
    ['nothing', null, 'text-html'],
    ['empty', ' ', 'text-html'],
    ['a browser', 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8', 'text-html'],
    ['latest', 'application/vnd.pypi.simple.latest+json', 'json'],
    ['latest HTML', 'application/vnd.pypi.simple.latest+html', 'html'],
    ['the richer on a tie, whatever the order', `text/html, ${HTML_TYPE}, ${JSON_TYPE}`, 'json'],
    ['q decides', `${JSON_TYPE};q=0.5, text/html;q=0.6`, 'text-html'],
    ['q=0 is a no', `${JSON_TYPE};q=0, ${HTML_TYPE}`, 'html'],
    ['a no with a wildcard', 'text/html;q=0, */*', 'json'],
    ['a precise no beats a wildcard yes', `application/*, ${JSON_TYPE};q=0`, 'html'],
    ['a type wildcard', 'text/*', 'text-html'],
    ['any application type', 'application/*', 'json'],
    ['upper case', JSON_TYPE.toUpperCase(), 'json'],
    ['a bad q drops its member', `${JSON_TYPE};q=9, text/html`, 'text-html'],
    ['unknown types', 'application/json, image/png', null],
    ['a future version', 'application/vnd.pypi.simple.v2+json', null],
    ['everything refused', '*/*;q=0', null],
    ['garbage', ';;;,,q=1', null],
  ]
  for (const [who, accept, form] of table)
    it(`${who}: ${accept}`, () => {
      expect(chooseForm(accept)).toBe(form)
    })

  it('?format= overrides the header', () => {
    expect(chooseForm('text/html', JSON_TYPE)).toBe('json')
    expect(chooseForm('text/html', JSON_TYPE.replace('+', ' '))).toBe('json')
    expect(chooseForm(JSON_TYPE, 'text/html')).toBe('text-html')
    expect(chooseForm('*/*', 'text/plain')).toBeNull()
    expect(chooseForm('*/*', '')).toBeNull()
  })

  it('is answered with a type that pip knows by its prefix', () => {
    expect(contentTypeOf('json')).toBe(JSON_TYPE)
    expect(contentTypeOf('html')).toBe(HTML_TYPE)
    expect(contentTypeOf('text-html')).toBe('text/html; charset=utf-8')
  })
})
