// This machine, in URLs: the one place that plain http may lead to.
const LOOPBACK: readonly string[] = ['localhost', '127.0.0.1', '[::1]']

export const isLoopback = (url: URL): boolean => LOOPBACK.includes(url.hostname)
