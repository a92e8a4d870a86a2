#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/tidy/rules.h"

namespace eve::tidy {
namespace {

struct Layer {
  std::string_view name;
  // Its folder, with a final slash.
  std::string_view folder;
  // The layers that it may include besides itself and, as all may, absl.
  std::vector<std::string_view> sees;
};

// The arrows of docs/impl.md. A layer that is not here is refused.
const std::vector<Layer>& Layers() {
  static const auto* const kLayers = new std::vector<Layer>{
      {"public", "include/eve/", {}},
      {"util", "util/", {}},
      {"format", "engine/format/", {"public", "util"}},
      {"file", "engine/file/", {"public", "util", "format"}},
      // Before alloc: who owns a segment is judged by who is alive.
      {"epoch", "engine/epoch/", {"public", "util", "format", "file"}},
      {"alloc", "engine/alloc/", {"public", "util", "format", "file", "epoch"}},
      {"root",
       "engine/root/",
       {"public", "util", "format", "file", "alloc", "epoch"}},
      {"collections",
       "engine/collections/",
       {"public", "util", "format", "file", "alloc", "epoch", "root"}},
      {"txn",
       "engine/txn/",
       {"public", "util", "format", "file", "alloc", "epoch", "root",
        "collections"}},
      {"checkpoint",
       "engine/checkpoint/",
       {"public", "util", "format", "file", "alloc", "epoch", "root",
        "collections", "txn"}},
      {"reclaim",
       "engine/reclaim/",
       {"public", "util", "format", "file", "alloc", "epoch", "root",
        "collections", "txn"}},
      // Shares no code with what it checks, or it would share its bugs.
      {"verify", "engine/verify/", {"public", "util", "format", "file"}},
      {"domain",
       "engine/domain/",
       {"public", "util", "format", "file", "alloc", "epoch", "root",
        "collections", "txn", "checkpoint", "reclaim", "verify"}},
      {"capi",
       "engine/capi/",
       {"public", "util", "format", "file", "alloc", "epoch", "root",
        "collections", "txn", "checkpoint", "reclaim", "verify", "domain"}},
      {"cli",
       "engine/cli/",
       {"public", "util", "format", "file", "alloc", "epoch", "root",
        "collections", "txn", "checkpoint", "reclaim", "verify", "domain"}},
  };
  return *kLayers;
}

const Layer* LayerOf(std::string_view path) {
  for (const Layer& layer : Layers()) {
    if (path.starts_with(layer.folder)) return &layer;
  }
  return nullptr;
}

// Benchmarks and tests see everything, and nothing sees them.
bool IsUnrestricted(std::string_view path) {
  return path.starts_with("tests/") || path.starts_with("db_bench/") ||
         path.starts_with("examples/");
}

// What is wrong with `layer` including "include" in quotes; "" if nothing.
std::string QuotedFault(const Layer& layer, std::string_view include) {
  if (include.starts_with("absl/")) return "";
  const std::string name(include);
  const std::string path =
      include.starts_with("eve/") ? "include/" + name : name;
  const Layer* target = LayerOf(path);
  if (target == nullptr) {
    return "includes " + name + ", which is in no layer (system headers and " +
           "libraries go in angle brackets)";
  }
  const bool seen =
      target == &layer || std::find(layer.sees.begin(), layer.sees.end(),
                                    target->name) != layer.sees.end();
  if (seen) return "";
  return std::string(layer.name) + " may not include " + name;
}

// The public headers promise to need the standard library and Abseil only.
std::string AngleFault(const Layer& layer, std::string_view include) {
  if (layer.name != "public") return "";
  const bool standard = include.find('.') == std::string_view::npos &&
                        include.find('/') == std::string_view::npos;
  if (standard || include == "stddef.h" || include == "stdint.h" ||
      include == "stdbool.h") {
    return "";
  }
  return "a public header may not include <" + std::string(include) + ">";
}

}  // namespace

Findings CheckLayers(const Source& source) {
  Findings findings;
  if (IsUnrestricted(source.path)) return findings;
  const auto add = [&](size_t index, std::string text) {
    findings.push_back(Finding{.rule = "layers",
                               .path = source.path,
                               .line = index + 1,
                               .text = std::move(text)});
  };
  const Layer* layer = LayerOf(source.path);
  if (layer == nullptr) {
    add(0, "this folder is in no layer");
    return findings;
  }
  for (size_t i = 0; i < source.code.size(); ++i) {
    std::string_view line = source.code[i];
    constexpr std::string_view kInclude = "#include ";
    if (!line.starts_with(kInclude)) continue;
    line.remove_prefix(kInclude.size());
    if (line.size() < 2) continue;
    const char close = line[0] == '<' ? '>' : '"';
    const std::string_view include = line.substr(1, line.find(close, 1) - 1);
    std::string fault = close == '>' ? AngleFault(*layer, include)
                                     : QuotedFault(*layer, include);
    if (!fault.empty()) add(i, std::move(fault));
  }
  return findings;
}

}  // namespace eve::tidy
