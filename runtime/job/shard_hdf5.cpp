// Columns to HDF5 data sets and back. What the data sets mean stands in the attribute "about" of every file.
#include "runtime/job/shard_hdf5.hpp"

#include <hdf5.h>

#include <algorithm>
#include <map>
#include <type_traits>

#include "kernels/base/error.hpp"

namespace argosy {

namespace {

constexpr std::int32_t kShardVersion = 2;
constexpr const char* kVersionName = "argosy_shard";
constexpr const char* kAbout =
    "Finished requests of an Argosy job. NAME_offsets[i] .. NAME_offsets[i + 1] are row i of NAME. Texts are bytes. "
    "requests/flags: 1 error record, 2 token ids were asked for, 4 echo, 8 logprobs, 16 chat. requests/answer_marks, "
    "of "
    "chats: 1 reasoning between <think> and </think>, 2 the prompt ends within it, 4 calls between <tool_call> and "
    "</tool_call>, 8 Harmony's channels. choices/finish_reason: 0 none, 1 stop, 2 length, 3 error. Request i has "
    "choices choice_offsets[i] .. choice_offsets[i + 1]; choice i (in "
    "prompt_logprobs: request i) has entries entry_offsets[i] .. entry_offsets[i + 1].";
constexpr std::size_t kPackBytesMin = 1024;
constexpr unsigned kDeflateLevel = 1;
constexpr hsize_t kChunkBytes = 1 << 18;  // of a file that grows
constexpr hssize_t kValuesMax = hssize_t{1} << 34;

// HDF5 neither prints nor clears up by itself: errors become sentences, and a file that could not be closed for a full
// disk is not tried again when the process ends.
void prepare() {
    H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

// An HDF5 id that closes itself; `what` names the thing in the error sentence.
class Handle {
  public:
    Handle(hid_t id, herr_t (*close)(hid_t), std::string_view what, ErrorKind kind = ErrorKind::internal)
        : id_(id), close_(close) {
        if (id < 0) fail(kind, "HDF5 cannot handle {}. Check that there is memory and that the disk has room.", what);
    }
    ~Handle() {
        if (id_ >= 0) close_(id_);
    }
    Handle(Handle&& other) noexcept : id_(other.id_), close_(other.close_) { other.id_ = -1; }
    Handle& operator=(Handle&&) = delete;
    operator hid_t() const { return id_; }
    bool close() { return close_(std::exchange(id_, -1)) >= 0; }

  private:
    hid_t id_;
    herr_t (*close_)(hid_t);
};

template <class T>
hid_t native_type() {
    if constexpr (std::is_same_v<T, std::int64_t>) return H5T_NATIVE_INT64;
    if constexpr (std::is_same_v<T, std::int32_t>) return H5T_NATIVE_INT32;
    if constexpr (std::is_same_v<T, float>) return H5T_NATIVE_FLOAT;
    if constexpr (std::is_same_v<T, std::uint8_t> || std::is_same_v<T, char>) return H5T_NATIVE_UINT8;
}

void check(bool good, std::string_view verb, std::string_view what, ErrorKind kind) {
    if (good) return;
    fail(kind, "HDF5 cannot {} {}. Check that the disk has room, and start the same command again.", verb, what);
}

void write_attribute(hid_t file, const char* name, hid_t type, const void* value) {
    const Handle space(H5Screate(H5S_SCALAR), H5Sclose, name);
    const Handle attribute(H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose, name);
    check(H5Awrite(attribute, type, value) >= 0, "write", name, ErrorKind::internal);
}

void write_head(hid_t file) {
    write_attribute(file, kVersionName, H5T_NATIVE_INT32, &kShardVersion);
    const Handle text(H5Tcopy(H5T_C_S1), H5Tclose, "a text type");
    H5Tset_size(text, std::string_view(kAbout).size() + 1);
    write_attribute(file, "about", text, kAbout);
}

// Properties of a data set in chunks of `values`, packed when the machine's HDF5 can.
Handle packed(hsize_t values, std::size_t value_bytes) {
    Handle set(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "data set properties");
    H5Pset_obj_track_times(set, false);  // the same values, the same bytes
    if (values == 0) return set;
    H5Pset_chunk(set, 1, &values);
    if (H5Zfilter_avail(H5Z_FILTER_DEFLATE) <= 0) return set;
    if (value_bytes > 1) H5Pset_shuffle(set);
    H5Pset_deflate(set, kDeflateLevel);
    return set;
}

Handle with_parents() {
    Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose, "link properties");
    H5Pset_create_intermediate_group(links, 1);
    return links;
}

Handle memory_file_access() {
    Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "file properties");
    H5Pset_fapl_core(access, 1 << 18, false);
    return access;
}

}  // namespace

std::string shard_image(const ShardTable& table) {
    prepare();
    const Handle access = memory_file_access();
    const Handle form(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "file properties");
    H5Pset_istore_k(form, 1);  // a data set has one chunk: its index needs no room for 64, which is 2 KB each
    const Handle file(H5Fcreate("shard", H5F_ACC_TRUNC, form, access), H5Fclose, "a shard");
    write_head(file);
    const Handle links = with_parents();
    for_each_column(table, [&]<class T>(const std::string& name, const std::vector<T>& column, bool) {
        const hsize_t values = column.size();
        const Handle space(H5Screate_simple(1, &values, nullptr), H5Sclose, name);
        const Handle how = packed(values * sizeof(T) >= kPackBytesMin ? values : 0, sizeof(T));
        const Handle set(H5Dcreate2(file, name.c_str(), native_type<T>(), space, links, how, H5P_DEFAULT), H5Dclose,
                         name);
        if (values == 0) return;
        check(H5Dwrite(set, native_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, column.data()) >= 0, "write", name,
              ErrorKind::internal);
    });
    check(H5Fflush(file, H5F_SCOPE_LOCAL) >= 0, "write", "a shard", ErrorKind::internal);
    const ssize_t bytes = H5Fget_file_image(file, nullptr, 0);
    check(bytes > 0, "give back", "a shard", ErrorKind::internal);
    std::string image(static_cast<std::size_t>(bytes), '\0');
    check(H5Fget_file_image(file, image.data(), image.size()) == bytes, "give back", "a shard", ErrorKind::internal);
    return image;
}

namespace {

template <class T>
void read_column(hid_t file, const std::string& name, std::vector<T>& column) {
    const Handle set(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose, name, ErrorKind::input);
    const Handle space(H5Dget_space(set), H5Sclose, name, ErrorKind::input);
    const hssize_t values = H5Sget_simple_extent_npoints(space);
    if (H5Sget_simple_extent_ndims(space) != 1 || values < 0 || values > kValuesMax)
        fail(ErrorKind::input, "{} is no column.", name);
    column.resize(static_cast<std::size_t>(values));
    if (values == 0) return;
    check(H5Dread(set, native_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, column.data()) >= 0, "read", name,
          ErrorKind::input);
}

std::int32_t read_version(hid_t file) {
    if (H5Aexists(file, kVersionName) <= 0) return 0;
    const Handle attribute(H5Aopen(file, kVersionName, H5P_DEFAULT), H5Aclose, kVersionName, ErrorKind::input);
    std::int32_t version = 0;
    return H5Aread(attribute, H5T_NATIVE_INT32, &version) >= 0 ? version : 0;
}

}  // namespace

ShardTable read_shard_image(std::string_view image, const std::string& name) {
    prepare();
    const Handle access = memory_file_access();
    // HDF5 copies the bytes; it takes them by pointer to non-const.
    H5Pset_file_image(access, const_cast<char*>(image.data()), image.size());
    const hid_t id = image.empty() ? -1 : H5Fopen("shard", H5F_ACC_RDONLY, access);
    if (id < 0) fail(ErrorKind::input, "{} is no HDF5 file.", name);
    const Handle file(id, H5Fclose, name);
    if (const std::int32_t version = read_version(file); version != kShardVersion) {
        fail(ErrorKind::input, "{} is not a shard that this version of Argosy reads: it has format {}, not {}.", name,
             version, kShardVersion);
    }
    ShardTable table;
    try {
        for_each_column(
            table, [&](const std::string& column_name, auto& column, bool) { read_column(file, column_name, column); });
    } catch (const Error& error) {
        fail(ErrorKind::input, "{} cannot be read: {}", name, error.what());
    }
    if (const auto wrong = check_table(table)) fail(ErrorKind::input, "{} is damaged: {}.", name, *wrong);
    return table;
}

struct ShardFile::State {
    std::string path;
    Handle file;
    std::map<std::string, std::pair<Handle, hsize_t>> sets;  // data set and its values so far
    std::map<std::string, std::int64_t> offsets;             // last offset of each column of offsets
};

ShardFile::ShardFile(const std::filesystem::path& path) {
    prepare();
    const hid_t id = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (id < 0) {
        fail(ErrorKind::system, "{} cannot be made. Check the folder and its permissions, and that the disk has room.",
             path.string());
    }
    state_ = std::unique_ptr<State>(new State{path.string(), Handle(id, H5Fclose, path.string()), {}, {}});
    write_head(id);
    const Handle links = with_parents();
    const ShardTable empty;
    for_each_column(empty, [&]<class T>(const std::string& name, const std::vector<T>& column, bool is_offsets) {
        const hsize_t values = is_offsets ? 1 : 0;
        const hsize_t unlimited = H5S_UNLIMITED;
        const Handle space(H5Screate_simple(1, &values, &unlimited), H5Sclose, name);
        const Handle how = packed(kChunkBytes / sizeof(T), sizeof(T));
        Handle set(H5Dcreate2(id, name.c_str(), native_type<T>(), space, links, how, H5P_DEFAULT), H5Dclose, name,
                   ErrorKind::system);
        if (is_offsets) {
            check(H5Dwrite(set, native_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, column.data()) >= 0, "write", name,
                  ErrorKind::system);
        }
        state_->sets.emplace(name, std::pair(std::move(set), values));
    });
}

ShardFile::~ShardFile() = default;

void ShardFile::append(const ShardTable& table) {
    State& s = *state_;
    for_each_column(table, [&]<class T>(const std::string& name, const std::vector<T>& column, bool is_offsets) {
        // Offsets go on from the last one; their first, 0, stands in the file already.
        std::vector<T> values(column.begin() + (is_offsets ? 1 : 0), column.end());
        if (is_offsets && !values.empty()) {
            std::int64_t& last = s.offsets[name];
            for (T& value : values) value = static_cast<T>(value + last);
            last = static_cast<std::int64_t>(values.back());
        }
        if (values.empty()) return;
        auto& [set, before] = s.sets.at(name);
        const hsize_t count = values.size();
        const hsize_t after = before + count;
        const std::string what = name + " in " + s.path;
        check(H5Dset_extent(set, &after) >= 0, "extend", what, ErrorKind::system);
        const Handle whole(H5Dget_space(set), H5Sclose, what, ErrorKind::system);
        H5Sselect_hyperslab(whole, H5S_SELECT_SET, &before, nullptr, &count, nullptr);
        const Handle part(H5Screate_simple(1, &count, nullptr), H5Sclose, what);
        check(H5Dwrite(set, native_type<T>(), part, whole, H5P_DEFAULT, values.data()) >= 0, "write", what,
              ErrorKind::system);
        before = after;
    });
}

void ShardFile::close() {
    State& s = *state_;
    bool good = true;
    for (auto& [name, set] : s.sets) good = set.first.close() && good;
    s.sets.clear();
    good = H5Fflush(s.file, H5F_SCOPE_LOCAL) >= 0 && good;
    good = s.file.close() && good;
    check(good, "write", s.path, ErrorKind::system);
}

}  // namespace argosy
