// Presigned addresses, compared with what Amazon's documentation and botocore make of the same words.
import { expect, test } from 'vitest'
import { presigned, presignedPut, s3BucketOf } from '../../durable-objects/presigned-put.ts'

test('the example of Amazon S3’s documentation', () => {
  // docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
  const by = {
    accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    region: 'us-east-1',
  }
  const at = Date.UTC(2013, 4, 24)
  expect(presigned('GET', new URL('https://examplebucket.s3.amazonaws.com/test.txt'), by, at, 86_400)).toBe(
    'https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256' +
      '&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z' +
      '&X-Amz-Expires=86400&X-Amz-SignedHeaders=host' +
      '&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
  )
})

// botocore 1.43.11: S3SigV4QueryAuth(credentials, 's3', 'auto', expires=3600) on a PUT of the address.
test.for([
  [
    'an address of R2',
    'https://0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com',
    'tuf-edge',
    'r/main/e1/uploads/00112233445566778899aabbccddeeff',
    '/tuf-edge/r/main/e1/uploads/00112233445566778899aabbccddeeff',
    'bebcd48dac153c1adfdb8c78b0c7657d9d0630e2e46e824285c20a04f7c5a55d',
  ],
  [
    'a port, and what must be encoded',
    'http://127.0.0.1:9000',
    'b u+cket',
    'a(b)/é',
    '/b%20u%2Bcket/a%28b%29/%C3%A9',
    '8b8adf3459eccd7882fda2617cba296f3b406ac845afefe9c763411c3b5cdfa7',
  ],
] as const)('%s, as botocore signs it', ([, endpoint, bucket, key, path, signature]) => {
  const to = {
    ...{ endpoint, bucket },
    accessKeyId: 'AKIDEXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  }
  expect(presignedPut(to, key, Date.UTC(2026, 10, 25, 1, 2, 3), 3_600)).toBe(
    `${endpoint}${path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261125%2Fauto%2Fs3%2Faws4_request` +
      `&X-Amz-Date=20261125T010203Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=${signature}`,
  )
})

const WHOLE = {
  R2_S3_ENDPOINT: 'https://account.r2.cloudflarestorage.com/',
  R2_BUCKET_NAME: 'tuf-edge',
  R2_ACCESS_KEY_ID: 'id',
  R2_SECRET_ACCESS_KEY: 'secret',
}

test('settings: all of them, or none', () => {
  expect(s3BucketOf(WHOLE)).toEqual({
    endpoint: 'https://account.r2.cloudflarestorage.com',
    bucket: 'tuf-edge',
    accessKeyId: 'id',
    secretAccessKey: 'secret',
  })
  expect(s3BucketOf({})).toBeUndefined()
  // A secret alone, set before the deployment that asks for it, changes nothing.
  expect(s3BucketOf({ R2_SECRET_ACCESS_KEY: 'secret' })).toBeUndefined()
  for (const name of ['R2_BUCKET_NAME', 'R2_ACCESS_KEY_ID', 'R2_SECRET_ACCESS_KEY'] as const) {
    const { [name]: _, ...rest } = WHOLE
    expect(s3BucketOf(rest)).toMatch(`must set ${name}.`)
  }
  for (const endpoint of [
    'account.r2.cloudflarestorage.com',
    'http://example.org',
    'https://u:p@example.org',
    'https://h/b',
  ])
    expect(s3BucketOf({ ...WHOLE, R2_S3_ENDPOINT: endpoint })).toMatch('R2_S3_ENDPOINT must be like')
})
