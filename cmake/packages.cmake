# The packages that the build links to, each found once, by the names Debian gives them. What is missing is collected and
# told in one message, with the command that installs it.

set(argosy_missing_packages "")

# argosy_need(FOUND DEBIAN-PACKAGE...): remembers the packages to install when the value FOUND is false.
function(argosy_need found)
    if(NOT found)
        list(APPEND argosy_missing_packages ${ARGN})
        list(REMOVE_DUPLICATES argosy_missing_packages)
        set(argosy_missing_packages "${argosy_missing_packages}" PARENT_SCOPE)
    endif()
endfunction()

find_package(Threads REQUIRED)
find_package(OpenMP COMPONENTS CXX)
argosy_need("${OpenMP_CXX_FOUND}" g++)
set(MPI_CXX_SKIP_MPICXX TRUE)
find_package(MPI COMPONENTS CXX)
argosy_need("${MPI_CXX_FOUND}" openmpi-bin libopenmpi-dev)
find_package(fmt QUIET)
argosy_need("${fmt_FOUND}" libfmt-dev)
find_package(nlohmann_json QUIET)
argosy_need("${nlohmann_json_FOUND}" nlohmann-json3-dev)
find_package(Boost QUIET COMPONENTS program_options)
argosy_need("${Boost_PROGRAM_OPTIONS_FOUND}" libboost-program-options-dev)
find_package(ZLIB)
argosy_need("${ZLIB_FOUND}" zlib1g-dev)
find_package(ICU COMPONENTS uc)
argosy_need("${ICU_FOUND}" libicu-dev)
find_package(PkgConfig)
argosy_need("${PKG_CONFIG_FOUND}" pkg-config)
if(PKG_CONFIG_FOUND)
    pkg_check_modules(PCRE2 IMPORTED_TARGET libpcre2-8)
    pkg_check_modules(XXHASH IMPORTED_TARGET libxxhash)
    pkg_check_modules(HWLOC IMPORTED_TARGET hwloc)
endif()
argosy_need("${PCRE2_FOUND}" libpcre2-dev)
argosy_need("${XXHASH_FOUND}" libxxhash-dev)
argosy_need("${HWLOC_FOUND}" libhwloc-dev)
set(HDF5_PREFER_PARALLEL TRUE)
find_package(HDF5 COMPONENTS C)
if(NOT (HDF5_FOUND AND HDF5_IS_PARALLEL))  # a serial HDF5 cannot write one file from many ranks
    argosy_need(FALSE libhdf5-openmpi-dev)
endif()
if(ARGOSY_TESTS)
    find_package(Catch2 2 QUIET)
    argosy_need("${Catch2_FOUND}" catch2)
endif()

if(argosy_missing_packages)
    list(JOIN argosy_missing_packages " " argosy_missing_text)
    message(FATAL_ERROR "Argosy needs packages that were not found here. On Debian 12 this installs them:\n"
        "  apt-get install --no-install-recommends ${argosy_missing_text}\n"
        "launch/scripts/setup.sh installs everything at once. On a cluster, load the modules that hold them "
        "(MPI and a parallel HDF5 among them) and configure again in an empty build folder.")
endif()

# HDF5 as one target: its CMake module gives lists of paths.
add_library(argosy_hdf5 INTERFACE)
target_include_directories(argosy_hdf5 SYSTEM INTERFACE ${HDF5_INCLUDE_DIRS})
target_link_libraries(argosy_hdf5 INTERFACE ${HDF5_C_LIBRARIES} MPI::MPI_CXX)
