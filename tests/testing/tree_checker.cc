#include "tests/testing/tree_checker.h"

#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/collections/btree_node.h"
#include "util/status_macros.h"

namespace eve {
namespace {

class Checker {
 public:
  Checker(const BlockView& view, uint32_t collection, TreeContent* content)
      : view_(view), collection_(collection), content_(*content) {}

  absl::Status Check(NodeSlot root) {
    if (root.is_empty()) return absl::OkStatus();
    const TreeSlot slot{root.word};
    const auto* header = view_.As<BlockHeader>(slot.offset());
    content_.height = header->depth;
    uint64_t records;
    return CheckSubtree(slot, header->depth, std::nullopt, std::nullopt,
                        &records);
  }

 private:
  static absl::Status Wrong(Offset offset, std::string what) {
    return absl::DataLossError(
        absl::StrCat("offset ", offset.bytes(), ": ", what));
  }

  absl::Status Count(Offset offset) {
    const auto* header = view_.As<BlockHeader>(offset);
    if (!content_.blocks.emplace(offset.units, header->bytes()).second) {
      return Wrong(offset, "reached twice");
    }
    if (header->collection != collection_) return Wrong(offset, "collection");
    if (header->checksum != 0) return Wrong(offset, "checksum before commit");
    content_.bytes += header->bytes();
    return absl::OkStatus();
  }

  absl::Status CheckPadding(Offset offset, const char* from, uint64_t bytes) {
    const char* const end = view_.At(offset) + bytes;
    if (end - from >= static_cast<int64_t>(kUnitBytes)) {
      return Wrong(offset, "a block larger than its content");
    }
    for (; from < end; ++from) {
      if (*from != 0) return Wrong(offset, "padding");
    }
    return absl::OkStatus();
  }

  // Keys of the subtree are in [low, high).
  absl::Status CheckSubtree(TreeSlot slot, uint32_t level,
                            std::optional<std::string> low,
                            std::optional<std::string> high,
                            uint64_t* records) {
    EVE_RETURN_IF_ERROR(Count(slot.offset()));
    return level == 0 ? CheckLeaf(slot, low, high, records)
                      : CheckNode(slot, level, low, high, records);
  }

  absl::Status CheckNode(TreeSlot slot, uint32_t level,
                         const std::optional<std::string>& low,
                         const std::optional<std::string>& high,
                         uint64_t* records) {
    const Offset offset = slot.offset();
    TreeNodeView node;
    if (!TreeNodeView::Open(view_, offset, level, &node)) {
      return Wrong(offset, "no node of its level");
    }
    ++content_.nodes;
    if (slot.leaf_records() != 0) return Wrong(offset, "slot of a node");
    if (node.count() < 2) return Wrong(offset, "a node of one child");
    *records = 0;
    std::optional<std::string> begin = low;
    for (uint32_t i = 0; i < node.count(); ++i) {
      std::optional<std::string> end = high;
      if (i + 1 < node.count()) {
        end = node.prefix().ToString() + node.Separator(i).ToString();
        if (begin.has_value() && *end <= *begin) {
          return Wrong(offset, "separators out of order");
        }
        if (high.has_value() && *end >= *high) {
          return Wrong(offset, "separator beyond the parent's");
        }
      }
      uint64_t below;
      EVE_RETURN_IF_ERROR(
          CheckSubtree(node.slot(i), level - 1, begin, end, &below));
      if (below != node.RecordsBelow(i)) {
        return Wrong(offset, absl::StrCat("child ", i, " has ", below,
                                          " records, counted are ",
                                          node.RecordsBelow(i)));
      }
      *records += below;
      begin = end;
    }
    return absl::OkStatus();
  }

  absl::Status CheckLeaf(TreeSlot slot, const std::optional<std::string>& low,
                         const std::optional<std::string>& high,
                         uint64_t* records) {
    const Offset offset = slot.offset();
    TreeLeafView leaf;
    if (!TreeLeafView::Open(view_, offset, &leaf)) {
      return Wrong(offset, "no leaf");
    }
    ++content_.leaves;
    content_.leaf_bytes += leaf.bytes();
    *records = leaf.count();
    if (slot.leaf_records() != leaf.count()) {
      return Wrong(offset, "records in the slot");
    }
    for (uint32_t i = 0; i < leaf.count(); ++i) {
      const std::string key =
          leaf.prefix().ToString() + leaf.Suffix(i).ToString();
      if (!content_.records.empty() && key <= content_.records.back().first) {
        return Wrong(offset, absl::StrCat("keys out of order at ",
                                          absl::CHexEscape(key)));
      }
      if ((low.has_value() && key < *low) ||
          (high.has_value() && key >= *high)) {
        return Wrong(offset, "key outside of its parent's range");
      }
      bool external;
      const Bytes stored = leaf.Stored(i, &external);
      if (external) {
        ++content_.external_values;
        EVE_RETURN_IF_ERROR(Count(TreeLeafView::ExternalOffset(stored)));
      } else if (leaf.is_aligned() &&
                 reinterpret_cast<uintptr_t>(stored.data()) % 8 != 0) {
        return Wrong(offset, "a value that is not aligned");
      }
      Bytes value;
      if (!leaf.Value(view_, i, &value)) return Wrong(offset, "no value");
      content_.records.emplace_back(key, value.ToString());
    }
    return CheckPadding(offset, leaf.values() + leaf.value_area_bytes(),
                        leaf.bytes());
  }

  const BlockView& view_;
  const uint32_t collection_;
  TreeContent& content_;
};

}  // namespace

absl::Status CheckTree(const BlockView& view, uint32_t collection,
                       NodeSlot root, TreeContent* content) {
  *content = TreeContent();
  return Checker(view, collection, content).Check(root);
}

}  // namespace eve
