// Writing and reading a file, with the page cache kept out as far as the file system allows.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernels/base/account_clock.hpp"
#include "kernels/base/buffer.hpp"
#include "kernels/base/error.hpp"
#include "runtime/probe/machine_probe.hpp"

namespace argosy {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlockBytes = std::size_t{4} << 20;
constexpr std::size_t kDirectAlign = 4096;

// A file without a name: nothing stays behind, however the process ends.
class ProbeFile {
  public:
    explicit ProbeFile(const fs::path& folder) {
        std::string name = (folder / "argosy-probe-XXXXXX").string();
        descriptor_ = ::mkstemp(name.data());
        if (descriptor_ < 0) {
            fail(ErrorKind::usage, "No file can be made in {} ({}). Give --path a folder that can be written.",
                 folder.string(), std::strerror(errno));
        }
        ::unlink(name.c_str());
        const int flags = ::fcntl(descriptor_, F_GETFL);
        direct_ = ::fcntl(descriptor_, F_SETFL, flags | O_DIRECT) == 0;
    }
    ~ProbeFile() { ::close(descriptor_); }
    ProbeFile(const ProbeFile&) = delete;
    ProbeFile& operator=(const ProbeFile&) = delete;

    bool direct() const { return direct_; }

    // Writes `bytes` from the start and waits until they are on the disk.
    void write(std::int64_t bytes, const std::byte* block) {
        for (std::int64_t at = 0; at < bytes;) {
            const ssize_t done = ::pwrite(descriptor_, block, kBlockBytes, at);
            if (done <= 0) refuse("written");
            at += done;
        }
        if (::fdatasync(descriptor_) != 0) refuse("written");
    }
    void read(std::int64_t bytes, std::byte* block) {
        ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
        for (std::int64_t at = 0; at < bytes;) {
            const ssize_t done = ::pread(descriptor_, block, kBlockBytes, at);
            if (done <= 0) refuse("read");
            at += done;
        }
    }

  private:
    [[noreturn]] void refuse(const char* what) const {
        fail(ErrorKind::system, "The probe's file cannot be {} ({}). Free some space, or give another --path.", what,
             std::strerror(errno));
    }
    int descriptor_ = -1;
    bool direct_ = false;
};

}  // namespace

void check_disk(MpiSession& session, const fs::path& folder) {
    session.run_agreed([&] { const ProbeFile file(folder); });
}

// The first rank of every node works, all nodes at once; bytes of all over the time of the last.
DiskFigures probe_disk(MpiSession& session, const ProbePace& pace, const fs::path& folder) {
    const bool takes_part = session.node().rank == 0;
    DiskFigures disk;
    disk.path = folder.string();
    disk.bytes = pace.disk_bytes;
    disk.writers = session.node_count();
    std::vector<double> write_ns, read_ns;
    bool direct = true;
    session.run_agreed([&] {
        if (!takes_part) return;
        const ProbeFile file(folder);
        direct = file.direct();
    });
    Buffer memory(kBlockBytes + kDirectAlign);
    auto* block = memory.as<std::byte>();
    block += (kDirectAlign - reinterpret_cast<std::uintptr_t>(block) % kDirectAlign) % kDirectAlign;
    std::uint32_t state = 12345;  // bytes that no file system can compress
    for (std::size_t i = 0; i < kBlockBytes; ++i) {
        state = state * 1664525U + 1013904223U;
        block[i] = static_cast<std::byte>(state >> 24);
    }
    for (int round = 0; round < pace.disk_rounds; ++round) {
        double write = 0, read = 0;
        session.world().barrier();
        session.run_agreed([&] {
            if (!takes_part) return;
            ProbeFile file(folder);
            const std::int64_t start = monotonic_ns();
            file.write(disk.bytes, block);
            const std::int64_t written = monotonic_ns();
            file.read(disk.bytes, block);
            write = static_cast<double>(written - start);
            read = static_cast<double>(monotonic_ns() - written);
        });
        write_ns.push_back(write);
        read_ns.push_back(read);
    }
    const auto rates = [&](const std::vector<double>& mine) {
        std::vector<double> slowest(mine.size(), 1);
        for (const auto& rank : gather_rounds(session, mine)) {
            for (std::size_t i = 0; i < slowest.size(); ++i) slowest[i] = std::max(slowest[i], rank[i]);
        }
        for (double& ns : slowest) ns = static_cast<double>(disk.bytes) * disk.writers / ns;
        return spread_of(slowest);
    };
    disk.write_gbytes = rates(write_ns);
    disk.read_gbytes = rates(read_ns);
    std::uint8_t by_first = direct ? 1 : 0;
    session.world().broadcast(&by_first, sizeof by_first, 0);
    disk.method = by_first != 0 ? "O_DIRECT and fdatasync" : "fdatasync, page cache dropped before reading";
    return disk;
}

}  // namespace argosy
