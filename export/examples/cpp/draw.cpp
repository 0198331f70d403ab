// Draws the picture of a seed with a file of `python -m export`, by the C API of TensorFlow Lite:
//
//     draw MODEL.tflite SEED LABEL OUT.ppm
//
// LABEL is the number of a class, or - for a model without classes.

#include <tensorflow/lite/c/c_api.h>
#include <tensorflow/lite/c/c_api_experimental.h>  // signatures, in TensorFlow Lite up to 2.14

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace {

template <typename T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "error: %s\n", message.c_str());
  std::exit(2);
}

std::int32_t number(const char* name, const char* text) {
  std::int32_t value = 0;
  const char* end = text + std::strlen(text);
  const auto [rest, error] = std::from_chars(text, end, value);
  if (error != std::errc() || rest != end || value < 0) {
    fail(std::string(name) + " " + text + ": give a number from 0 to 2147483647");
  }
  return value;
}

// Sets an input for all pictures of the batch, which is 1 unless the export says otherwise.
template <typename T>
void set(TfLiteSignatureRunner* sample, const char* name, T value) {
  TfLiteTensor* tensor = TfLiteSignatureRunnerGetInputTensor(sample, name);
  if (tensor == nullptr) fail(std::string("the signature sample has no ") + name);
  const std::vector<T> values(TfLiteTensorByteSize(tensor) / sizeof(T), value);
  TfLiteTensorCopyFromBuffer(tensor, values.data(), values.size() * sizeof(T));
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) fail("usage: draw MODEL.tflite SEED LABEL OUT.ppm");
  const std::string path = arguments[1], out = arguments[4];
  const bool has_label = std::strcmp(arguments[3], "-") != 0;
  const std::int32_t seed = number("SEED", arguments[2]);
  const std::int32_t label = has_label ? number("LABEL", arguments[3]) : 0;

  // TensorFlow Lite logs why a file is refused.
  const Owned<TfLiteModel> model(TfLiteModelCreateFromFile(path.c_str()), TfLiteModelDelete);
  if (!model) fail(path + ": cannot be read, or is no TF Lite file");
  const Owned<TfLiteInterpreter> interpreter(TfLiteInterpreterCreate(model.get(), nullptr),
                                             TfLiteInterpreterDelete);
  if (!interpreter) fail(path + ": has operations that this TensorFlow Lite does not know");
  const Owned<TfLiteSignatureRunner> sample(
      TfLiteInterpreterGetSignatureRunner(interpreter.get(), "sample"), TfLiteSignatureRunnerDelete);
  if (!sample) fail(path + ": has no signature sample; name a file of python -m export");
  if (TfLiteSignatureRunnerAllocateTensors(sample.get()) != kTfLiteOk) {
    fail(path + ": has no room in memory");
  }
  if (!has_label && TfLiteSignatureRunnerGetInputTensor(sample.get(), "label") != nullptr) {
    fail(path + ": has classes; give the number of one");
  }
  set(sample.get(), "seed", seed);
  set(sample.get(), "truncation", 1.0f);
  if (has_label) set(sample.get(), "label", label);
  if (TfLiteSignatureRunnerInvoke(sample.get()) != kTfLiteOk) fail(path + ": cannot be run");

  // uint8 (batch, height, width, 3), which is what a PPM file holds after its header.
  const TfLiteTensor* image = TfLiteSignatureRunnerGetOutputTensor(sample.get(), "image");
  const int height = TfLiteTensorDim(image, 1), width = TfLiteTensorDim(image, 2);
  std::FILE* file = std::fopen(out.c_str(), "wb");
  if (file == nullptr) fail(out + ": cannot be written");
  std::fprintf(file, "P6\n%d %d\n255\n", width, height);
  std::fwrite(TfLiteTensorData(image), 3, static_cast<std::size_t>(height) * width, file);
  if (std::fclose(file) != 0) fail(out + ": cannot be written");
}
