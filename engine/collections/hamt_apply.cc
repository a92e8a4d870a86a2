#include <algorithm>
#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "engine/collections/hamt_editor.h"
#include "engine/collections/hamt_map.h"
#include "util/status_macros.h"

namespace eve {
namespace {

absl::Status CheckSizes(const MapOp& op) {
  if (op.key.size() > kKeyBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a key of ", op.key.size(), " bytes; the limit is ", kKeyBytesMax));
  }
  if (op.kind != MapOpKind::kErase && op.value.size() > kValueBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a value of ", op.value.size(), " bytes; the limit is ",
                     kValueBytesMax));
  }
  return absl::OkStatus();
}

bool Before(const OpRef& a, const OpRef& b) {
  return a.hash != b.hash ? a.hash < b.hash : a.index < b.index;
}

absl::Status ApplySorted(const EditContext& context, absl::Span<MapOp> ops,
                         absl::Span<const OpRef> order, MapRoot& root) {
  TrieEditor editor(context, ops, order, root.slot);
  NodeSlot slot = root.slot;
  EVE_RETURN_IF_ERROR(editor.Run(&slot));
  root.slot = slot;
  root.count += editor.count_change();
  return absl::OkStatus();
}

}  // namespace

absl::Status HamtApply(const EditContext& context, absl::Span<MapOp> ops,
                       MapRoot& root) {
  for (const MapOp& op : ops) EVE_RETURN_IF_ERROR(CheckSizes(op));
  for (MapOp& op : ops) op.hash = context.hasher(op.key);
  if (ops.empty()) return absl::OkStatus();
  if (ops.size() == 1) {
    const OpRef only{ops[0].hash, 0};
    return ApplySorted(context, ops, absl::MakeConstSpan(&only, 1), root);
  }
  absl::InlinedVector<OpRef, 16> order;
  order.reserve(ops.size());
  for (size_t i = 0; i < ops.size(); ++i) order.push_back({ops[i].hash, i});
  std::sort(order.begin(), order.end(), Before);
  return ApplySorted(context, ops, order, root);
}

}  // namespace eve
