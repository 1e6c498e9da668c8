# The CUDA option. WITH_CUDA=AUTO uses a CUDA compiler if there is one, ON makes its absence an error, OFF does not look.
# Sets ARGOSY_CUDA (TRUE or FALSE) and ARGOSY_CUDA_STATE, the words that the configure-time summary prints.
set(WITH_CUDA AUTO CACHE STRING "Use a CUDA compiler: AUTO (if there is one), ON (it must be there) or OFF")
set_property(CACHE WITH_CUDA PROPERTY STRINGS AUTO ON OFF)
string(TOUPPER "${WITH_CUDA}" argosy_with_cuda)
if(NOT argosy_with_cuda MATCHES "^(AUTO|ON|OFF)$")
    message(FATAL_ERROR "WITH_CUDA is '${WITH_CUDA}'. It must be AUTO, ON or OFF.")
endif()

set(ARGOSY_CUDA FALSE)
if(argosy_with_cuda STREQUAL "OFF")
    set(ARGOSY_CUDA_STATE "no (WITH_CUDA=OFF)")
else()
    # check_language tries the compiler in a project of its own, so a broken nvcc is an absent one and not a fatal error.
    # Its verdict is cached; forgetting a negative one lets a toolkit that was installed since be found.
    if("${CMAKE_CUDA_COMPILER}" STREQUAL "NOTFOUND")
        unset(CMAKE_CUDA_COMPILER CACHE)
    endif()
    include(CheckLanguage)
    check_language(CUDA)
    if(CMAKE_CUDA_COMPILER)
        enable_language(CUDA)
        set(ARGOSY_CUDA TRUE)
        set(ARGOSY_CUDA_STATE "yes, ${CMAKE_CUDA_COMPILER_ID} ${CMAKE_CUDA_COMPILER_VERSION} (${CMAKE_CUDA_COMPILER})")
    elseif(argosy_with_cuda STREQUAL "ON")
        message(FATAL_ERROR "WITH_CUDA=ON, but no CUDA compiler works here. Put nvcc on PATH, or name it with "
            "-DCMAKE_CUDA_COMPILER=/path/to/nvcc, or build without GPUs with -DWITH_CUDA=OFF.")
    else()
        set(ARGOSY_CUDA_STATE "no (WITH_CUDA=AUTO found no nvcc)")
    endif()
endif()
