// The door to HDF5: recorded values to files and back.
#include <fmt/format.h>
#include <hdf5.h>

#include <algorithm>
#include <cmath>

#include "kernels/base/error.hpp"
#include "runtime/forward/recorder.hpp"

namespace argosy {

namespace fs = std::filesystem;

namespace {

// An HDF5 id that closes itself; `what` names the thing in the error sentence.
class Handle {
  public:
    Handle(hid_t id, herr_t (*close)(hid_t), const std::string& what) : id_(id), close_(close) {
        if (id < 0)
            fail(ErrorKind::system, "HDF5 cannot handle {}. Check that the disk has room and the file is whole.", what);
    }
    ~Handle() { close_(id_); }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    operator hid_t() const { return id_; }

  private:
    hid_t id_;
    herr_t (*close_)(hid_t);
};

template <class T>
void write_array(hid_t group, const char* name, hid_t type, const std::vector<T>& values, std::vector<hsize_t> shape) {
    if (values.empty()) return;
    const Handle space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), H5Sclose, name);
    const Handle set(H5Dcreate2(group, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Dclose, name);
    if (H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
        fail(ErrorKind::system, "HDF5 cannot write {}. Check that the disk has room.", name);
}

template <class T>
std::vector<T> read_array(hid_t group, const char* name, hid_t type) {
    if (H5Lexists(group, name, H5P_DEFAULT) <= 0) return {};
    const Handle set(H5Dopen2(group, name, H5P_DEFAULT), H5Dclose, name);
    const Handle space(H5Dget_space(set), H5Sclose, name);
    std::vector<T> values(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
    if (H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
        fail(ErrorKind::input, "HDF5 cannot read {}. The record is damaged; run again.", name);
    return values;
}

// Values that one rank saw replace what another did not.
void join(std::vector<float>& into, const std::vector<float>& from) {
    if (into.empty()) into = from;
    for (std::size_t i = 0; i < from.size() && i < into.size(); ++i) {
        if (!std::isnan(from[i])) into[i] = from[i];
    }
}

void join(std::vector<std::int32_t>& into, const std::vector<std::int32_t>& from) {
    if (into.empty()) into = from;
    for (std::size_t i = 0; i < from.size() && i < into.size(); ++i) {
        if (from[i] != -2) into[i] = from[i];
    }
}

herr_t collect_name(hid_t, const char* name, const H5L_info_t*, void* names) {
    static_cast<std::vector<std::string>*>(names)->push_back(name);
    return 0;
}

}  // namespace

void Recorder::write(const fs::path& folder, int world_rank) const {
    fs::create_directories(folder);
    const std::string path = (folder / fmt::format("rank-{}.h5", world_rank)).string();
    const Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose, path);
    const auto layers = static_cast<hsize_t>(plan_.layer_count);
    const auto top_k = static_cast<hsize_t>(plan_.moe.top_k);
    for (const auto& [name, request] : requests_) {
        std::string group_name = name;
        std::replace(group_name.begin(), group_name.end(), '/', '_');  // a slash would make a group within a group
        const Handle group(H5Gcreate2(file, group_name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose,
                           group_name);
        const auto t = static_cast<hsize_t>(request.tokens.size());
        write_array(group, "tokens", H5T_NATIVE_INT32, request.tokens, {t});
        write_array(group, "logits", H5T_NATIVE_FLOAT, request.logits, {t, static_cast<hsize_t>(plan_.vocab_size)});
        write_array(group, "hidden_states", H5T_NATIVE_FLOAT, request.hidden_states,
                    {layers + 1, t, static_cast<hsize_t>(plan_.hidden)});
        write_array(group, "router_ids", H5T_NATIVE_INT32, request.router_ids, {layers, t, top_k});
        write_array(group, "router_weights", H5T_NATIVE_FLOAT, request.router_weights, {layers, t, top_k});
        write_array(group, "mtp_logits", H5T_NATIVE_FLOAT, request.mtp_logits,
                    {t - 1, static_cast<hsize_t>(plan_.vocab_size)});
    }
}

std::map<std::string, RecordedRequest> read_record(const fs::path& folder) {
    std::map<std::string, RecordedRequest> joined;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        const std::string path = entry.path().string();
        const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose, path);
        std::vector<std::string> names;
        H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect_name, &names);
        for (const std::string& name : names) {
            const Handle group(H5Gopen2(file, name.c_str(), H5P_DEFAULT), H5Gclose, name);
            RecordedRequest& request = joined[name];
            request.tokens = read_array<std::int32_t>(group, "tokens", H5T_NATIVE_INT32);
            join(request.logits, read_array<float>(group, "logits", H5T_NATIVE_FLOAT));
            join(request.hidden_states, read_array<float>(group, "hidden_states", H5T_NATIVE_FLOAT));
            join(request.router_ids, read_array<std::int32_t>(group, "router_ids", H5T_NATIVE_INT32));
            join(request.router_weights, read_array<float>(group, "router_weights", H5T_NATIVE_FLOAT));
            join(request.mtp_logits, read_array<float>(group, "mtp_logits", H5T_NATIVE_FLOAT));
        }
    }
    return joined;
}

}  // namespace argosy
