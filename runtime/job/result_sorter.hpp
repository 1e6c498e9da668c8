// Records in the order of their lines, however they come and however many they are: in memory while they fit, else
// through sorted runs in an unnamed file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace argosy {

class ResultSorter {
  public:
    static constexpr std::int64_t kMemoryMax = 64 << 20;  // bytes of records held before a run is written

    // The unnamed file, if one is needed, lies in `scratch` and disappears by itself.
    explicit ResultSorter(std::filesystem::path scratch, std::int64_t memory_max = kMemoryMax);
    ~ResultSorter();
    ResultSorter(const ResultSorter&) = delete;
    ResultSorter& operator=(const ResultSorter&) = delete;

    void add(std::int64_t line, std::string record);

    // Hands out all records by rising line, once; of several for one line the one that was added first. Memory: a
    // buffer of 256 KiB and a record per run. ErrorKind::system: the scratch file.
    void drain(const std::function<void(std::int64_t line, std::string_view record)>& visit);

    std::int64_t runs() const { return static_cast<std::int64_t>(runs_.size()); }  // written to the file

  private:
    struct Record {
        std::int64_t line = 0;
        std::string bytes;
    };
    struct Run {
        std::int64_t begin = 0;  // in the file
        std::int64_t end = 0;
    };
    class RunReader;

    void sort_held();
    void write_run();
    void open_scratch();

    std::filesystem::path scratch_;
    std::int64_t memory_max_;
    std::int64_t held_bytes_ = 0;
    std::vector<Record> held_;
    std::vector<Run> runs_;
    int descriptor_ = -1;
    std::int64_t file_bytes_ = 0;
};

}  // namespace argosy
