// Independent tasks over a stream's threads. Which thread runs a task never shows in a result: no task sums what
// another one made (R1).
#pragma once

#include <atomic>
#include <cstdint>

#include "kernels/base/stream.hpp"

namespace argosy {

// Calls body(task) for every task in [0, tasks). One thread, or one task, runs right here.
template <class Body>
static void parallel_tasks(const Stream& stream, std::int64_t tasks, const Body& body) {
    if (stream.threads <= 1 || tasks <= 1) {
        for (std::int64_t task = 0; task < tasks; ++task) body(task);
        return;
    }
#pragma omp parallel for schedule(dynamic, 1) num_threads(stream.threads)
    for (std::int64_t task = 0; task < tasks; ++task) body(task);
}

// Calls body(task, next) for every task in [0, tasks): next is the task that the same thread will run afterwards, or
// `tasks`, so that a task can have its successor's memory on the way while it computes. Near the end a thread no longer
// reserves its next task, so that the last ones go to whoever is free first.
template <class Body>
static void parallel_tasks_ahead(const Stream& stream, std::int64_t tasks, const Body& body) {
    if (stream.threads <= 1 || tasks <= 1) {
        for (std::int64_t task = 0; task < tasks; ++task) body(task, task + 1);
        return;
    }
    std::atomic<std::int64_t> counter{0};
    const std::int64_t reserved_end = tasks - stream.threads;
    const auto claim = [&] { return counter.fetch_add(1, std::memory_order_relaxed); };
#pragma omp parallel num_threads(stream.threads)
    for (std::int64_t task = claim(); task < tasks;) {
        const std::int64_t next = counter.load(std::memory_order_relaxed) < reserved_end ? claim() : tasks;
        body(task, next);
        task = next < tasks ? next : claim();
    }
}

// Calls body(row_begin, row_end) for chunks of rows; a chunk has at least rows_min rows, so that small work stays on
// one thread.
template <class Body>
static void parallel_rows(const Stream& stream, int rows, int rows_min, const Body& body) {
    int chunks = stream.threads <= 1 ? 1 : 4 * stream.threads;
    if (chunks > rows / rows_min) chunks = rows / rows_min;
    if (chunks <= 1) {
        if (rows > 0) body(0, rows);
        return;
    }
    parallel_tasks(stream, chunks, [&](std::int64_t chunk) {
        body(static_cast<int>(rows * chunk / chunks), static_cast<int>(rows * (chunk + 1) / chunks));
    });
}

}  // namespace argosy
