// Draws a picture of a seed with a .tflite file of keras-sagan; see README.md.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { compileFunction } from 'node:vm';
import { crc32, deflateSync } from 'node:zlib';
import { loadAndCompile, loadLiteRt, Tensor } from '@litertjs/core';

// LiteRT.js is made for browsers. Of what they have it takes two things as long as it stays off
// GPUs: a global `self`, and in workers a function that runs a script.
const require = createRequire(import.meta.url);
globalThis.self = globalThis;
globalThis.importScripts = (path) => {
  const code = `${readFileSync(path, 'utf8')}; return ModuleFactory;`;
  const script = compileFunction(code, ['require', '__filename', '__dirname']);
  self.ModuleFactory = script(require, path, dirname(path));
};
const quiet = () => {};
self.Module = { print: quiet, printErr: quiet }; // LiteRT's log
console.warn = quiet; // that there is no WebGPU

function options() {
  const texts = ['seed', 'label', 'truncation', 'out'].map((name) => [name, { type: 'string' }]);
  const found = parseArgs({ options: Object.fromEntries(texts), allowPositionals: true });
  const { seed = '0', label, truncation = '1', out } = found.values;
  if (found.positionals.length !== 1 || !out) {
    throw new Error('give MODEL.tflite [--seed N] [--label CLASS] [--truncation=X] --out FILE.png');
  }
  if (!/^\d+$/.test(seed) || Number(seed) > 2 ** 31 - 1) {
    throw new Error(`--seed ${seed}: seeds are from 0 to 2147483647`);
  }
  if (!Number.isFinite(Math.fround(truncation || NaN))) {
    throw new Error(`--truncation ${truncation}: give a finite number, such as 0.8`);
  }
  const [path] = found.positionals;
  return { path, seed: Number(seed), label, truncation: Number(truncation), out };
}

// The number of a class, of which labels.txt beside the file has a line each.
function classOf(label, path) {
  const names = readFileSync(join(dirname(path), 'labels.txt'), 'utf8').trimEnd().split('\n');
  const number = /^\d+$/.test(label) ? Number(label) : names.indexOf(label);
  const given = label === undefined ? '--label is missing' : `--label ${label}`;
  if (!(number in names)) throw new Error(`${given}: the classes are ${names.join(', ')}`);
  return number;
}

function png(data, height, width) {
  const chunk = (name, content) => {
    const body = Buffer.concat([Buffer.from(name), content]);
    const ends = [Buffer.alloc(4), Buffer.alloc(4)];
    ends[0].writeUInt32BE(content.length);
    ends[1].writeUInt32BE(crc32(body));
    return [ends[0], body, ends[1]];
  };
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]); // 8 bits, RGB
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // Each row begins with the number of its filter: none.
  const rows = Array.from({ length: height }, (_, y) =>
    Buffer.concat([Buffer.of(0), data.subarray(3 * width * y, 3 * width * (y + 1))]),
  );
  const parts = [chunk('IHDR', header), chunk('IDAT', deflateSync(Buffer.concat(rows)))];
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  return Buffer.concat([signature, ...parts.flat(), ...chunk('IEND', Buffer.alloc(0))]);
}

async function main() {
  const { path, seed, label, truncation, out } = options();
  await loadLiteRt(join(dirname(require.resolve('@litertjs/core')), '../wasm/'));
  const file = new Uint8Array(readFileSync(path));
  const model = await loadAndCompile(file, { accelerator: 'wasm' }).catch((error) => {
    throw new Error(`${path}: ${error.message}`);
  });
  const { sample } = model.signatures;
  if (!sample) throw new Error(`${path}: it has generate alone; name a generator_*.tflite`);
  const details = sample.getInputDetails();
  const [batch] = details[0].shape; // all of one picture, which is written once
  const inputs = {
    seed: new Tensor(new Int32Array(batch).fill(seed), [batch]),
    truncation: new Tensor(new Float32Array(batch).fill(truncation), [batch]),
  };
  if (details.some(({ name }) => name === 'label')) {
    inputs.label = new Tensor(new Int32Array(batch).fill(classOf(label, path)), [batch]);
  } else if (label !== undefined) {
    throw new Error(`--label ${label}: ${path} has no classes; leave --label out`);
  }
  const { image } = await sample.run(inputs);
  const [, height, width] = image.type.layout.dimensions;
  writeFileSync(out, png(image.toTypedArray(), height, width));
  // A program that goes on must free what it gave to LiteRT, and what it got.
  for (const tensor of [image, ...Object.values(inputs)]) tensor.delete();
  console.log(out);
}

main().catch((error) => {
  console.error(`error: ${error.message.split('\n')[0]}`);
  process.exitCode = 2;
});
