// A library to load before a program: notes how much processor time each rank spends inside MPI calls, where waiting
// ranks poll, and how much in all.
//
// Loaded with LD_PRELOAD. Every call that moves bytes or waits is wrapped through MPI's profiling names (PMPI_*). At
// MPI_Finalize a rank writes "TOTAL INSIDE" in nanoseconds to the file $ARGOSY_CPU_METER/RANK; its work is the
// difference. C, because it stands in front of a C interface.
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long long inside_ns = 0;
static int depth = 0;
static long long entered_ns = 0;

static long long cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void enter(void) {
    if (depth++ == 0) entered_ns = cpu_ns();
}

static int leave(int code) {
    if (--depth == 0) inside_ns += cpu_ns() - entered_ns;
    return code;
}

#define METERED(name, parameters, arguments) \
    int MPI_##name parameters {              \
        enter();                             \
        return leave(PMPI_##name arguments); \
    }

METERED(Init_thread, (int* argc, char*** argv, int wanted, int* given), (argc, argv, wanted, given))
METERED(Barrier, (MPI_Comm comm), (comm))
METERED(Bcast, (void* data, int count, MPI_Datatype type, int root, MPI_Comm comm), (data, count, type, root, comm))
METERED(Allgather, (const void* from, int n, MPI_Datatype type, void* to, int m, MPI_Datatype to_type, MPI_Comm comm),
        (from, n, type, to, m, to_type, comm))
METERED(Allgatherv,
        (const void* from, int n, MPI_Datatype type, void* to, const int* m, const int* at, MPI_Datatype to_type,
         MPI_Comm comm),
        (from, n, type, to, m, at, to_type, comm))
METERED(Alltoall, (const void* from, int n, MPI_Datatype type, void* to, int m, MPI_Datatype to_type, MPI_Comm comm),
        (from, n, type, to, m, to_type, comm))
METERED(Isend, (const void* data, int count, MPI_Datatype type, int rank, int tag, MPI_Comm comm, MPI_Request* request),
        (data, count, type, rank, tag, comm, request))
METERED(Irecv, (void* data, int count, MPI_Datatype type, int rank, int tag, MPI_Comm comm, MPI_Request* request),
        (data, count, type, rank, tag, comm, request))
METERED(Recv, (void* data, int count, MPI_Datatype type, int rank, int tag, MPI_Comm comm, MPI_Status* status),
        (data, count, type, rank, tag, comm, status))
METERED(Iprobe, (int rank, int tag, MPI_Comm comm, int* flag, MPI_Status* status), (rank, tag, comm, flag, status))
METERED(Test, (MPI_Request * request, int* flag, MPI_Status* status), (request, flag, status))
METERED(Wait, (MPI_Request * request, MPI_Status* status), (request, status))
METERED(Waitall, (int count, MPI_Request* requests, MPI_Status* statuses), (count, requests, statuses))

int MPI_Finalize(void) {
    const char* folder = getenv("ARGOSY_CPU_METER");
    int rank = 0;
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (folder != NULL) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%d", folder, rank);
        FILE* file = fopen(path, "w");
        if (file != NULL) {
            fprintf(file, "%lld %lld\n", cpu_ns(), inside_ns);
            fclose(file);
        }
    }
    return PMPI_Finalize();
}
