// An external merge sort by line. A record in the file is its line (8 bytes), its length (8 bytes) and its bytes.
#include "runtime/job/result_sorter.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <queue>
#include <utility>

#include "kernels/base/error.hpp"

namespace argosy {

namespace {

constexpr std::int64_t kBufferBytes = 256 << 10;
constexpr std::int64_t kRecordOverhead = 64;  // what a held record costs beside its bytes
constexpr std::size_t kHeadBytes = 16;

[[noreturn]] void cannot(const char* verb, const std::filesystem::path& scratch) {
    fail(ErrorKind::system,
         "A temporary file in {} cannot be {}: {}. Free space or raise the quota, and start the same command again.",
         scratch.string(), verb, std::strerror(errno));
}

}  // namespace

ResultSorter::ResultSorter(std::filesystem::path scratch, std::int64_t memory_max)
    : scratch_(std::move(scratch)), memory_max_(memory_max) {
    if (scratch_.empty()) scratch_ = ".";
}

ResultSorter::~ResultSorter() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

void ResultSorter::add(std::int64_t line, std::string record) {
    held_bytes_ += static_cast<std::int64_t>(record.size()) + kRecordOverhead;
    held_.push_back({line, std::move(record)});
    if (held_bytes_ >= memory_max_) write_run();
}

void ResultSorter::sort_held() {
    std::stable_sort(held_.begin(), held_.end(), [](const Record& a, const Record& b) { return a.line < b.line; });
}

void ResultSorter::open_scratch() {
    descriptor_ = ::open(scratch_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (descriptor_ >= 0) return;
    // Not every file system has unnamed files: one whose name is taken away at once does as well.
    std::string name = (scratch_ / "argosy-sort-XXXXXX").string();
    descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (descriptor_ < 0) cannot("made", scratch_);
    ::unlink(name.c_str());
}

void ResultSorter::write_run() {
    if (descriptor_ < 0) open_scratch();
    sort_held();
    Run run{.begin = file_bytes_, .end = file_bytes_};
    std::string buffer;
    const auto flush = [&] {
        for (std::size_t done = 0; done < buffer.size();) {
            const ssize_t size = ::pwrite(descriptor_, buffer.data() + done, buffer.size() - done, run.end);
            if (size < 0 && errno == EINTR) continue;
            if (size < 0) cannot("written", scratch_);
            done += static_cast<std::size_t>(size);
            run.end += size;
        }
        buffer.clear();
    };
    for (const Record& record : held_) {
        const std::int64_t head[2] = {record.line, static_cast<std::int64_t>(record.bytes.size())};
        buffer.append(reinterpret_cast<const char*>(head), sizeof head);
        buffer += record.bytes;
        if (static_cast<std::int64_t>(buffer.size()) >= kBufferBytes) flush();
    }
    flush();
    file_bytes_ = run.end;
    runs_.push_back(run);
    held_.clear();
    held_bytes_ = 0;
}

// Reads one run from front to back.
class ResultSorter::RunReader {
  public:
    RunReader(int descriptor, const std::filesystem::path& scratch, Run run)
        : descriptor_(descriptor), scratch_(scratch), run_(run) {}

    // False at the end of the run.
    bool next() {
        if (at_ == buffer_.size() && run_.begin == run_.end) return false;
        need(kHeadBytes);
        std::int64_t head[2];
        std::memcpy(head, buffer_.data() + at_, sizeof head);
        at_ += kHeadBytes;
        need(static_cast<std::size_t>(head[1]));
        line_ = head[0];
        record_ = std::string_view(buffer_).substr(at_, static_cast<std::size_t>(head[1]));
        at_ += record_.size();
        return true;
    }
    std::int64_t line() const { return line_; }
    std::string_view record() const { return record_; }  // until the next next()

  private:
    void need(std::size_t bytes) {
        if (buffer_.size() - at_ >= bytes) return;
        buffer_.erase(0, at_);
        at_ = 0;
        while (buffer_.size() < bytes) {
            const std::size_t before = buffer_.size();
            const auto missing = static_cast<std::int64_t>(bytes - before);
            const std::int64_t want = std::min(std::max(kBufferBytes, missing), run_.end - run_.begin);
            buffer_.resize(before + static_cast<std::size_t>(want));
            const ssize_t got =
                ::pread(descriptor_, buffer_.data() + before, static_cast<std::size_t>(want), run_.begin);
            buffer_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0) cannot("read back", scratch_);
            run_.begin += got;
        }
    }

    int descriptor_;
    const std::filesystem::path& scratch_;
    Run run_;  // what is not read yet
    std::string buffer_;
    std::size_t at_ = 0;
    std::int64_t line_ = 0;
    std::string_view record_;
};

void ResultSorter::drain(const std::function<void(std::int64_t, std::string_view)>& visit) {
    std::int64_t last = -1;
    const auto hand_out = [&](std::int64_t line, std::string_view record) {
        if (line != last) visit(line, record);
        last = line;
    };
    if (runs_.empty()) {
        sort_held();
        for (const Record& record : held_) hand_out(record.line, record.bytes);
        held_.clear();
        return;
    }
    if (!held_.empty()) write_run();
    std::vector<std::unique_ptr<RunReader>> readers;
    // The lowest line first; of equal lines the run that was written first.
    using Next = std::pair<std::int64_t, std::size_t>;
    std::priority_queue<Next, std::vector<Next>, std::greater<>> queue;
    for (const Run& run : runs_) {
        readers.push_back(std::make_unique<RunReader>(descriptor_, scratch_, run));
        if (readers.back()->next()) queue.emplace(readers.back()->line(), readers.size() - 1);
    }
    while (!queue.empty()) {
        const std::size_t from = queue.top().second;
        queue.pop();
        hand_out(readers[from]->line(), readers[from]->record());
        if (readers[from]->next()) queue.emplace(readers[from]->line(), from);
    }
    runs_.clear();
}

}  // namespace argosy
