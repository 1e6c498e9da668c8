# The three helpers that every folder's CMakeLists.txt uses: argosy_library, argosy_test, and the settings all targets share.

# One interface target carries the language, the warnings and the floating-point rules (kernels/numerics.md, R10).
add_library(argosy_settings INTERFACE)
target_compile_features(argosy_settings INTERFACE cxx_std_20)
target_include_directories(argosy_settings INTERFACE ${PROJECT_SOURCE_DIR})
# -Wrestrict and -Wmaybe-uninitialized of GCC 12 report the standard library's own strings and variants.
target_compile_options(argosy_settings INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wno-psabi -Wno-restrict -Wno-maybe-uninitialized -ffp-contract=off -fno-math-errno>)

# argosy_library(NAME SOURCES file... [DEPENDS target...] [PRIVATE_DEPENDS target...])
# A static library of one floor. With tests on, it is also linked whole and alone with its DEPENDS: an arrow that goes up, to a symbol of a
# floor it does not name, is then a link error of alone_NAME.
function(argosy_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    target_link_libraries(${name} PUBLIC argosy_settings ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE_DEPENDS})
    if(ARGOSY_TESTS)
        add_executable(alone_${name} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/alone.cpp)
        target_link_libraries(alone_${name} PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,${name}>)
    endif()
endfunction()

# argosy_test(NAME SOURCES file... [DEPENDS target...] [RANKS n...] [ARGS arg...] [LABELS label...] [TIMEOUT seconds])
# A Catch2 binary. Without RANKS it runs as one process; with RANKS it is built with the MPI main and run once per rank count
# under mpirun, as tests NAME-1, NAME-2 and so on. Where the folder sets argosy_tests_start_ranks, the binary starts ranks itself.
# A test that disturbs a running job at a chosen time, or fills the disk, says ALONE: two jobs of ctest then run nothing beside it.
# Sanitizers slow programs down: every limit of time is then argosy_patience times as long. Leaks of Open MPI are known by frames
# deep in the stack, which takes unwinding slowly; tests without MPI are spared that. intercept_tls_get_addr=0: GCC 12's
# sanitizer takes a thread-local block of a loaded library that begins 16 bytes into a page for one of an older glibc, reads its
# place from the bytes before it, and the search for leaks dies there. No thread-local variable of ours is in such a block.
set(argosy_patience 1)
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=(address|thread)")
    set(argosy_patience 10)
endif()
function(argosy_test name)
    cmake_parse_arguments(ARG "ALONE" "TIMEOUT" "SOURCES;DEPENDS;RANKS;ARGS;LABELS" ${ARGN})
    if(NOT ARG_TIMEOUT)
        set(ARG_TIMEOUT 120)
    endif()
    math(EXPR limit "${ARG_TIMEOUT} * ${argosy_patience}")
    set(environment "ARGOSY_TEST_PATIENCE=set:${argosy_patience}")
    if(ARG_RANKS OR argosy_tests_start_ranks)
        list(APPEND environment "ASAN_OPTIONS=set:fast_unwind_on_malloc=0:intercept_tls_get_addr=0")
    endif()
    add_executable(${name} ${ARG_SOURCES})
    if(ARG_RANKS)
        target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} argosy_test_support argosy_test_mpi_main)
        foreach(ranks ${ARG_RANKS})
            add_test(NAME ${name}-${ranks}
                COMMAND ${PROJECT_SOURCE_DIR}/tests/support/mpirun.sh ${ARG_TIMEOUT} ${ranks} $<TARGET_FILE:${name}> ${ARG_ARGS})
            set_tests_properties(${name}-${ranks} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${limit}
                SKIP_RETURN_CODE 77 PROCESSORS 2 ENVIRONMENT_MODIFICATION "${environment}")
        endforeach()
    else()
        target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} argosy_test_support argosy_test_main)
        add_test(NAME ${name} COMMAND ${name} ${ARG_ARGS})
        set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${limit} SKIP_RETURN_CODE 77
            ENVIRONMENT_MODIFICATION "${environment}")
        if(ARG_ALONE)
            set_tests_properties(${name} PROPERTIES PROCESSORS 2)
        endif()
    endif()
endfunction()
