// A small map from arrays, by their ids, to numbers. A walk over the graph asks it for each
// edge, and std::unordered_map would cost as much as the rest of the walk.
#pragma once

#include <cstdint>
#include <vector>

namespace zmlx {

class Seen {
 public:
  // Where the number is, or null.
  const int32_t* find(uintptr_t id) const {
    if (slots_.empty()) {
      return nullptr;
    }
    const auto& slot = slots_[place(id)];
    return slot.id ? &slot.value : nullptr;
  }

  // False when the id is there already; then nothing changes.
  bool insert(uintptr_t id, int32_t value) {
    if (2 * (count_ + 1) > slots_.size()) {
      grow();
    }
    auto& slot = slots_[place(id)];
    if (slot.id) {
      return false;
    }
    slot = {id, value};
    ++count_;
    return true;
  }

  void put(uintptr_t id, int32_t value) {
    if (!insert(id, value)) {
      slots_[place(id)].value = value;
    }
  }

 private:
  struct Slot {
    uintptr_t id = 0;
    int32_t value = 0;
  };

  // The slot of the id, or the free one where it would be.
  size_t place(uintptr_t id) const {
    auto at = static_cast<size_t>((static_cast<uint64_t>(id) * 0x9e3779b97f4a7c15u) >> 20);
    while (slots_[at & (slots_.size() - 1)].id != 0 &&
           slots_[at & (slots_.size() - 1)].id != id) {
      ++at;
    }
    return at & (slots_.size() - 1);
  }

  void grow() {
    std::vector<Slot> old(slots_.empty() ? 32 : 2 * slots_.size());
    old.swap(slots_);
    for (const auto& slot : old) {
      if (slot.id) {
        slots_[place(slot.id)] = slot;
      }
    }
  }

  std::vector<Slot> slots_;
  size_t count_ = 0;
};

} // namespace zmlx
