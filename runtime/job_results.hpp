// Where a job's answers go: the run directory and its manifest on world rank 0, shards on each group leader, and the
// join at the end.
//
// A leader that has sealed a shard tells world rank 0 by a message, and rank 0 alone appends to manifest.jsonl.
// Messages rather than files, because what one client of a parallel file system writes, another may see late or in
// pieces, and because appends by several clients may tear; nobody reads a shared file while the job runs. When rank 0
// dies between a shard's rename and its line, the shard is not listed and so does not exist: the next start removes the
// file and runs its requests again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "parallel/mpi_session.hpp"
#include "parallel/notice_box.hpp"
#include "runtime/job/response.hpp"
#include "runtime/job/run_directory.hpp"
#include "runtime/job/shard_writer.hpp"
#include "runtime/job_input.hpp"

namespace argosy {

class JobResults {
  public:
    // `folder` empty: nothing is kept.
    JobResults(MpiSession& session, std::filesystem::path folder) : session_(session), folder_(std::move(folder)) {}

    // Collective, before anything is read: a folder that cannot be a run directory is refused at once.
    void check_folder();
    // Collective, before weights are read: so is another job's, and one that is in use. `identity` (world rank 0's
    // counts) has no model digest. False: this very job has finished before, and its report was printed.
    bool check_job(const JobIdentity& identity);

    // Collective. Opens or makes the run directory, finds what earlier runs answered, and sets damaged shards aside.
    // Error records of input lines are stored. False: the job has finished before, and its report was printed.
    bool open(const JobIdentity& identity, const std::string& settings, const std::string& start_note, bool leader,
              const JobInput& input);

    // Leaders: keeps answers and error records, and seals a shard when one is due.
    void store(const std::vector<RequestResult>& results, const std::vector<LineError>& refused);
    // Any rank, often: seals what is due and lists what was sealed. Never waits for other ranks.
    void tend();
    // Any rank: seals what there is, however little.
    void seal();

    // Collective. Seals and lists everything; when the job has finished, joins the shards into responses.jsonl and
    // errors.jsonl.
    void close(const JobInput& input, bool finished);
    // Collective. Gives back what needs MPI; nothing can be stored or closed after.
    void leave() { notices_.reset(); }
    // World rank 0, when the report is written too: from now on the job has finished.
    void finish();

    const std::vector<std::int64_t>& answered_before() const { return answered_; }  // lines, ascending
    std::int64_t answers_before() const { return answers_before_; }                 // of them, without error records
    // Requests that need no work any more when the run begins: answered or refused before, or an error record.
    std::int64_t settled_before(const JobInput& input) const {
        return answers_before_ + refused_before_ + static_cast<std::int64_t>(input.errors.size());
    }
    // Requests refused while stepping, by this run and, on world rank 0 after close(), by all ranks and earlier runs.
    std::int64_t refused() const { return refused_; }
    RunDirectory* directory() { return directory_.get(); }  // null but on world rank 0
    bool kept() const { return !folder_.empty(); }
    const std::filesystem::path& folder() const { return folder_; }

  private:
    void verify_shards(const JobInput& input);
    void list(const std::vector<std::string>& notices);

    MpiSession& session_;
    std::filesystem::path folder_;
    std::unique_ptr<RunDirectory> directory_;
    std::unique_ptr<NoticeBox> notices_;
    std::unique_ptr<ShardWriter> shards_;
    std::vector<std::int64_t> answered_;
    std::int64_t answers_before_ = 0;
    std::int64_t refused_before_ = 0;
    std::int64_t refused_ = 0;
};

// Drops the requests that an earlier run answered.
void drop_answered(JobInput& input, const std::vector<std::int64_t>& answered);

}  // namespace argosy
