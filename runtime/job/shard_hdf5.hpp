// The door to HDF5 for finished requests: a shard's columns to the bytes of an HDF5 file and back, and a joined file
// that grows. A shard is made and read in memory, so that every byte on the disk goes through FileWriter, and HDF5
// never sees bytes whose checksum is wrong. One process writes a file: nothing here is collective.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/job/shard_table.hpp"

namespace argosy {

// The whole HDF5 file: one data set per column, packed with deflate where a column has more than a kilobyte. The same
// table gives the same bytes. ErrorKind::internal when HDF5 refuses.
std::string shard_image(const ShardTable& table);

// The columns of a file's bytes. ErrorKind::input, naming `name`, when they are no shard.
ShardTable read_shard_image(std::string_view image, const std::string& name);

// An HDF5 file of the same data sets to which tables are appended, for files larger than memory.
class ShardFile {
  public:
    explicit ShardFile(const std::filesystem::path& path);  // made new; ErrorKind::system when it cannot be
    ~ShardFile();
    ShardFile(const ShardFile&) = delete;
    ShardFile& operator=(const ShardFile&) = delete;

    void append(const ShardTable& table);  // ErrorKind::system: the disk
    void close();                          // all of it is with the system; the caller flushes it to the disk

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace argosy
