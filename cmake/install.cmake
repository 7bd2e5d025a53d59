# What `cmake --install` puts where; base/resources.h finds it there. `cpack` makes the Debian package of it.
# The target `texts` (man pages, completions) has to be built before; scripts/package.sh does.
include(GNUInstallDirs)

set(parts tscsim-trace)
foreach(part tscsim-init tscsim-mpi)
  if(TARGET ${part})
    list(APPEND parts ${part})
  endif()
endforeach()
install(TARGETS tscsim RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS ${parts} RUNTIME DESTINATION lib/tscsim LIBRARY DESTINATION lib/tscsim)
install(DIRECTORY scenarios DESTINATION ${CMAKE_INSTALL_DATADIR}/tscsim
  FILES_MATCHING PATTERN "*.yaml" PATTERN "*.json" PATTERN "refused" EXCLUDE PATTERN "testdata" EXCLUDE)
install(DIRECTORY ${CMAKE_BINARY_DIR}/cli/texts/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
install(FILES ${CMAKE_BINARY_DIR}/cli/texts/tscsim DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${CMAKE_BINARY_DIR}/cli/texts/_tscsim DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tscsim)
set(CPACK_PACKAGE_VENDOR "tscsim")
set(CPACK_PACKAGE_CONTACT "the tscsim project <tscsim@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "virtual-machine timekeeping on a model of KVM and on real KVM")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "xz-utils, zstd")  # unpack the lab's kernels
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
include(CPack)
