// Where a job's answers go: the run directory on world rank 0, a part file on each group leader, and the join at the
// end.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "parallel/mpi_session.hpp"
#include "runtime/job/response.hpp"
#include "runtime/job/result_parts.hpp"
#include "runtime/job/run_directory.hpp"
#include "runtime/job_input.hpp"

namespace argosy {

class JobResults {
  public:
    // `folder` empty: nothing is kept.
    JobResults(MpiSession& session, std::filesystem::path folder) : session_(session), folder_(std::move(folder)) {}

    // Collective, before weights are read: a folder that cannot be a run directory is refused at once.
    void check_folder();

    // Collective. Opens or makes the run directory and finds what an earlier run answered. False: that run has
    // finished, and its report was printed.
    bool open(const JobIdentity& identity, const std::string& settings, const std::string& start_note, bool leader);

    // Leaders: writes answers and error records; they are on the disk within a second.
    void store(const std::vector<RequestResult>& results, const std::vector<LineError>& refused);

    // Collective. Closes the parts; when the job has finished, joins them into responses.jsonl. Returns the requests
    // refused while stepping, on world rank 0.
    std::vector<LineError> close(const JobInput& input, bool finished);

    const std::vector<std::int64_t>& answered_before() const { return answered_; }  // lines, ascending
    RunDirectory* directory() { return directory_.get(); }                          // null but on world rank 0
    bool kept() const { return !folder_.empty(); }
    const std::filesystem::path& folder() const { return folder_; }

  private:
    void find_answered();

    MpiSession& session_;
    std::filesystem::path folder_;
    std::unique_ptr<RunDirectory> directory_;
    std::unique_ptr<PartWriter> parts_;
    std::vector<std::int64_t> answered_;
    std::vector<LineError> refused_;
    std::int64_t synced_ = 0;  // answers on the disk, and when they came there
    std::int64_t synced_at_ns_ = 0;
};

// Drops the requests that an earlier run answered.
void drop_answered(JobInput& input, const std::vector<std::int64_t>& answered);

}  // namespace argosy
