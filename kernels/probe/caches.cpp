// Reading /sys/devices/system/cpu/cpu0/cache.
#include "kernels/probe/caches.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace argosy {

namespace fs = std::filesystem;

namespace {

std::string word_of(const fs::path& file) {
    std::ifstream stream(file);
    std::string word;
    stream >> word;
    return word;
}

// "48K", "2048K", "260M"; 0 for anything else.
std::int64_t size_of_word(const std::string& word) {
    std::istringstream stream(word);
    std::int64_t number = 0;
    char unit = ' ';
    if (!(stream >> number) || number < 0) return 0;
    stream >> unit;
    return unit == 'K' ? number << 10 : unit == 'M' ? number << 20 : unit == 'G' ? number << 30 : number;
}

// CPUs in a list like "0-3,8-11".
int count_list(const std::string& list) {
    std::istringstream stream(list);
    int count = 0;
    for (std::string part; std::getline(stream, part, ',');) {
        int first = 0, last = 0;
        char dash = ' ';
        std::istringstream range(part);
        if (!(range >> first)) continue;
        count += range >> dash >> last && last >= first ? last - first + 1 : 1;
    }
    return std::max(count, 1);
}

}  // namespace

std::vector<DataCache> data_caches(const fs::path& root) {
    std::vector<DataCache> caches;
    const fs::path folder = root / "sys/devices/system/cpu/cpu0/cache";
    for (int i = 0;; ++i) {
        const fs::path index = folder / ("index" + std::to_string(i));
        const std::string type = word_of(index / "type");
        if (type.empty()) break;
        if (type == "Instruction") continue;
        DataCache cache;
        cache.level = static_cast<int>(size_of_word(word_of(index / "level")));
        cache.bytes = size_of_word(word_of(index / "size"));
        cache.cpus = count_list(word_of(index / "shared_cpu_list"));
        if (cache.level > 0 && cache.bytes > 0) caches.push_back(cache);
    }
    std::sort(caches.begin(), caches.end(), [](const DataCache& a, const DataCache& b) { return a.level < b.level; });
    return caches;
}

}  // namespace argosy
