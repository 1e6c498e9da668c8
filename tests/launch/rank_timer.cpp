// Runs one rank's program and tells its life as seen from outside: rank_timer FOLDER RANK:SECONDS:FILE PROGRAM
// ARGUMENT... writes FOLDER/life-RANK with the monotonic ns before the fork and after the wait. Where RANK of the
// second word is this rank's, the program is stopped for SECONDS as soon as FILE exists and 0.2 s have passed, and the
// ns of stop and continuation are written too; "-" stops nobody.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

namespace {

std::int64_t now_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

void pause_s(double seconds) { usleep(static_cast<useconds_t>(seconds * 1e6)); }

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) return 64;
    const char* variable = std::getenv("OMPI_COMM_WORLD_RANK");
    const int rank = variable == nullptr ? 0 : std::atoi(variable);
    int stop_rank = -1;
    double seconds = 0;
    char file[4096] = {};
    std::sscanf(argv[2], "%d:%lf:%4095s", &stop_rank, &seconds, file);
    const std::int64_t start_ns = now_ns();
    const pid_t child = fork();
    if (child == 0) {
        execv(argv[3], argv + 3);
        _exit(127);
    }
    std::int64_t stop_ns = 0, go_on_ns = 0;
    if (rank == stop_rank) {
        for (int i = 0; i < 3000 && access(file, F_OK) != 0; ++i) pause_s(0.01);
        pause_s(0.2);
        kill(child, SIGSTOP);
        stop_ns = now_ns();
        pause_s(seconds);
        go_on_ns = now_ns();
        kill(child, SIGCONT);
    }
    int status = 0;
    waitpid(child, &status, 0);
    const std::int64_t end_ns = now_ns();
    std::FILE* out = std::fopen((std::string(argv[1]) + "/life-" + std::to_string(rank)).c_str(), "w");
    if (out == nullptr) return 70;
    std::fprintf(out, "%lld %lld %lld %lld\n", static_cast<long long>(start_ns), static_cast<long long>(end_ns),
                 static_cast<long long>(stop_ns), static_cast<long long>(go_on_ns));
    std::fclose(out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
