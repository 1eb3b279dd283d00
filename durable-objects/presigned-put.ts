// An address that one object may be put to without credentials, for a while: AWS Signature Version 4 in the query, as R2's
// S3 endpoint takes it. State: none. HMAC-SHA256 alone; the secret key goes into the derived key and nowhere else.
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { isLoopback } from './loopback.ts'

export interface S3Bucket {
  /** Scheme and host, such as `https://ACCOUNT.r2.cloudflarestorage.com`. */
  endpoint: string
  bucket: string
  accessKeyId: string
  secretAccessKey: string
}

const NAMES = ['R2_S3_ENDPOINT', 'R2_BUCKET_NAME', 'R2_ACCESS_KEY_ID', 'R2_SECRET_ACCESS_KEY'] as const
export type S3Settings = Partial<Record<(typeof NAMES)[number], string>>

/** Undefined: not set up. A sentence: not set up well; nothing but direct uploads hangs on it. */
export function s3BucketOf(env: S3Settings): S3Bucket | string | undefined {
  // The endpoint switches it on: a secret that is there already says nothing yet.
  if (!env.R2_S3_ENDPOINT) return undefined
  const missing = NAMES.filter((name) => !env[name])
  if (missing.length > 0) return `Direct uploads are half set up: the operators must set ${missing.join(' and ')}.`
  const url = URL.canParse(env.R2_S3_ENDPOINT) ? new URL(env.R2_S3_ENDPOINT) : undefined
  const plain = url !== undefined && url.href === `${url.origin}/`
  if (!plain || !(url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url))))
    return 'Direct uploads are set up wrongly: R2_S3_ENDPOINT must be like https://ACCOUNT.r2.cloudflarestorage.com.'
  return {
    endpoint: url.origin,
    bucket: env.R2_BUCKET_NAME!,
    accessKeyId: env.R2_ACCESS_KEY_ID!,
    secretAccessKey: env.R2_SECRET_ACCESS_KEY!,
  }
}

/** R2 has one region. */
const REGION = 'auto'

/** @param seconds the put must begin within; at most a week */
export function presignedPut(to: S3Bucket, key: string, nowMs: number, seconds: number): string {
  const path = `/${[to.bucket, ...key.split('/')].map(encoded).join('/')}`
  return presigned('PUT', new URL(to.endpoint + path), { ...to, region: REGION }, nowMs, seconds)
}

/** The path of `url` must be encoded already; it has no query. */
export function presigned(
  method: string,
  url: URL,
  by: { accessKeyId: string; secretAccessKey: string; region: string },
  nowMs: number,
  seconds: number,
): string {
  const time = new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, '')
  const day = time.slice(0, 8)
  const scope = [day, by.region, 's3', 'aws4_request'].join('/')
  // In the order of their names, as the signature wants them.
  const query = Object.entries({
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${by.accessKeyId}/${scope}`,
    'X-Amz-Date': time,
    'X-Amz-Expires': String(seconds),
    'X-Amz-SignedHeaders': 'host',
  })
    .map(([name, value]) => `${name}=${encoded(value)}`)
    .join('&')
  const request = [method, url.pathname, query, `host:${url.host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n')
  const message = ['AWS4-HMAC-SHA256', time, scope, bytesToHex(sha256(utf8ToBytes(request)))].join('\n')
  const signed = (secret: Uint8Array, text: string) => hmac(sha256, secret, utf8ToBytes(text))
  const key = [day, by.region, 's3', 'aws4_request'].reduce(signed, utf8ToBytes(`AWS4${by.secretAccessKey}`))
  return `${url.origin}${url.pathname}?${query}&X-Amz-Signature=${bytesToHex(signed(key, message))}`
}

/** Everything but RFC 3986's unreserved characters. */
const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
