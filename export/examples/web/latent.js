// The latent of a seed, as keras_sagan/sampling/latents.py defines it: normal numbers from a hash.

function hash(x) {
  // Math.imul multiplies in 32 bits, and >>> shifts in zeros.
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}

export function latentOf(seed, length, truncation) {
  const state = hash(seed ^ 0x9e3779b9);
  const uniform = (n) => ((hash(state + Math.imul(n, 0x9e3779b1)) >>> 9) + 0.5) / 2 ** 23;
  return Float32Array.from({ length }, (_, i) => {
    const radius = Math.sqrt(-2 * Math.log(uniform(2 * i)));
    return truncation * radius * Math.cos(2 * Math.PI * uniform(2 * i + 1));
  });
}
