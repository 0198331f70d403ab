import { loadAndCompile, loadLiteRt, Tensor } from '@litertjs/core';
import { latentOf } from './latent.js';
const query = new URLSearchParams(location.search);
const path = query.get('model') ?? '../generator_dynamic_int8.tflite';
const accelerator = query.get('accelerator') ?? 'wasm'; // or webgpu
const [form, canvas, output] = ['form', 'canvas', 'output'].map((x) => document.querySelector(x));
let model;

async function fetched(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return response;
}

const inputsOf = (signature) => model.signatures[signature].getInputDetails();

async function load() {
  const file = new Uint8Array(await (await fetched(path)).arrayBuffer());
  await loadLiteRt('node_modules/@litertjs/core/wasm/');
  model = await loadAndCompile(file, { accelerator }); // unnamed, it is WebGPU where there is one
  if (inputsOf('generate').some(({ name }) => name === 'label')) {
    const labels = await (await fetched(path.replace(/[^/]*$/, 'labels.txt'))).text();
    labels.trimEnd().split('\n').forEach((name, i) => form.label.add(new Option(name, i)));
    form.label.required = true;
    form.label.parentElement.hidden = false;
  }
  for (const [name, value] of query) if (form.elements[name]) form.elements[name].value = value;
}

// Runs a signature; returns its picture.
async function run(signature, values) {
  const inputs = {};
  let outputs = {};
  try {
    for (const { name, shape } of inputsOf(signature)) {
      // The same for all pictures of a batch, of which the first is shown.
      const batch = Array(shape[0]).fill([...values[name]]).flat();
      inputs[name] = new Tensor(values[name].constructor.from(batch), shape);
    }
    outputs = await model.run(signature, inputs);
    const [, height, width] = outputs.image.type.layout.dimensions;
    return { data: await outputs.image.data(), height, width };
  } finally {
    // What lies in WebAssembly or on the GPU is not freed by itself.
    for (const tensor of Object.values({ ...inputs, ...outputs })) tensor.delete();
  }
}

function picture(seed, label, truncation) {
  if (accelerator === 'wasm' && model.signatures.sample) {
    const values = { seed: Int32Array.of(seed), label, truncation: Float32Array.of(truncation) };
    return run('sample', values);
  }
  // The integers of the hash would stay on the CPU: the latent is made here, the picture there.
  const [, length] = inputsOf('generate').find(({ name }) => name === 'latent').shape;
  return run('generate', { latent: latentOf(seed, length, truncation), label });
}

async function draw() {
  const wrong = form.querySelector(':invalid');
  if (wrong) throw new Error(`${wrong.name}: ${wrong.validationMessage}`);
  const start = performance.now();
  const [seed, truncation] = [form.seed.valueAsNumber, form.truncation.valueAsNumber];
  const { data, height, width } = await picture(seed, Int32Array.of(form.label.value), truncation);
  const levels = data instanceof Float32Array ? data.map((x) => (x + 1) * 127.5) : data;
  const pixels = new ImageData(width, height); // rounds and clips what it is given
  for (let i = 0; i < height * width; i++) {
    pixels.data.set([...levels.subarray(3 * i, 3 * i + 3), 255], 4 * i);
  }
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext('2d').putImageData(pixels, 0, 0);
  output.value = `${model.options.accelerator}: ${(performance.now() - start).toFixed(1)} ms`;
}

const show = (error) => (output.value = `Error: ${error.message ?? error}`);
let turn = load().then(() => { // a model draws one picture at a time
  form.addEventListener('input', () => (turn = turn.then(draw).catch(show)));
  return draw();
}).catch(show);
