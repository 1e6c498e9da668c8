// Layers by KV class, in groups of one size.
#include "runtime/model/kv_groups.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace argosy {

namespace {

using Classes = std::map<int, int>;  // window -> layers; 0, all, is the first

int groups_of(const Classes& classes, int size) {
    int groups = 0;
    for (const auto& [window, layers] : classes) groups += (layers + size - 1) / size;
    return groups;
}

int best_size(const Classes& classes, int layer_count) {
    int best = layer_count;
    int best_empty = groups_of(classes, best) * best - layer_count;
    for (int size = layer_count - 1; size >= 1; --size) {
        const int groups = groups_of(classes, size);
        const int empty = groups * size - layer_count;
        if (groups > std::max(kKvGroupsMax, static_cast<int>(classes.size())) || empty >= best_empty) continue;
        best = size;
        best_empty = empty;
    }
    return best;
}

}  // namespace

KvGroups kv_groups(const ModelPlan& plan) {
    Classes classes;
    for (const LayerPlan& layer : plan.layers) ++classes[layer.window];
    KvGroups groups;
    groups.layers_per_block = best_size(classes, static_cast<int>(plan.layers.size()));
    std::map<int, int> first_group;
    for (const auto& [window, layers] : classes) {
        first_group[window] = groups.count();
        groups.windows.insert(groups.windows.end(),
                              static_cast<std::size_t>(groups_of({{window, layers}}, groups.layers_per_block)), window);
    }
    std::map<int, int> seen;
    for (const LayerPlan& layer : plan.layers) {
        const int before = seen[layer.window]++;
        groups.places.push_back({.group = first_group[layer.window] + before / groups.layers_per_block,
                                 .index = before % groups.layers_per_block});
    }
    return groups;
}

std::string describe(const KvGroups& groups) {
    std::map<int, int> layers;
    for (const KvGroups::Place& place : groups.places) ++layers[groups.windows[static_cast<std::size_t>(place.group)]];
    if (layers.size() == 1 && layers.begin()->first == 0) return {};
    std::string text;
    for (const auto& [window, count] : layers) {
        text += fmt::format("{}{} layers see {}", text.empty() ? "" : ", ", count,
                            window == 0 ? "all" : fmt::format("the last {} tokens", window));
    }
    return text +
           fmt::format(": {} group{} of {}", groups.count(), groups.count() == 1 ? "" : "s", groups.layers_per_block);
}

}  // namespace argosy
