// Files that are written with every error seen: append, flush to the disk, replace atomically. Errors are sentences
// that say what to do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace argosy {

// A file being appended to through a buffer. Every failure is ErrorKind::system and names the file.
class FileWriter {
  public:
    enum class Mode { truncate, append };
    FileWriter(const std::filesystem::path& path, Mode mode);
    ~FileWriter();  // closes without flushing: call close() for what must arrive
    FileWriter(FileWriter&& other) noexcept;
    FileWriter& operator=(FileWriter&&) = delete;
    FileWriter(const FileWriter&) = delete;

    void write(std::string_view bytes);
    void flush();  // to the system
    void sync();   // to the disk
    void close();  // flush, sync and close
    std::int64_t bytes_written() const { return written_; }

  private:
    std::string path_;
    int descriptor_ = -1;
    std::string buffer_;
    std::int64_t written_ = 0;
};

// Puts `bytes` in the place of the file in one step: a reader sees the old content or the new. `durable` also waits for
// the disk.
void replace_file(const std::filesystem::path& path, std::string_view bytes, bool durable);

// Renames a finished temporary file and waits until the folder's entry is on the disk.
void publish_file(const std::filesystem::path& temporary, const std::filesystem::path& path);

// The whole file. Missing or unreadable: ErrorKind::input.
std::string read_whole_file(const std::filesystem::path& path);

}  // namespace argosy
