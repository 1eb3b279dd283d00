// The same questions to workerd's WebCrypto as to Node's.
import '../unit/tuf/ed25519.test.ts'
