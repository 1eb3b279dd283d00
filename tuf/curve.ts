// Whether a point is on P-256 or P-384. WebCrypto would find out when it imports the key, with an error that differs from
// platform to platform; checked here, a key that nobody can have is known as unusable when it is read.
// Constants: NIST SP 800-186, 3.2.1.3 and 3.2.1.4; both curves are y² = x³ − 3x + b.

interface Curve {
  readonly p: bigint
  readonly b: bigint
}

const CURVES: Readonly<Record<'P-256' | 'P-384', Curve>> = {
  'P-256': {
    p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
  },
  'P-384': {
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
  },
}

/** Whether the big-endian coordinates, given in hex, are those of a point of the curve, each below its prime. */
export function isOnCurve(curve: 'P-256' | 'P-384', xHex: string, yHex: string): boolean {
  const { p, b } = CURVES[curve]
  const x = BigInt(`0x${xHex}`)
  const y = BigInt(`0x${yHex}`)
  return x < p && y < p && (y * y - x * x * x + 3n * x - b) % p === 0n
}
