// A new file that is written at offsets, as the pieces of several tensors come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace argosy {

// Every failure is ErrorKind::system and names the file.
class OutputFile {
  public:
    explicit OutputFile(const std::filesystem::path& path);  // which must not exist
    OutputFile(OutputFile&& other) noexcept;
    OutputFile& operator=(OutputFile&&) = delete;
    ~OutputFile();  // closes without flushing: call close() for what must arrive

    void write(std::int64_t offset, const void* from, std::size_t bytes);
    void close();  // flushes to the disk

  private:
    [[noreturn]] void complain(const char* what) const;

    std::string path_;
    int descriptor_ = -1;
};

}  // namespace argosy
