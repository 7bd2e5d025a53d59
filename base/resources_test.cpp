#include "base/resources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

namespace tscsim::base {
namespace {

namespace fs = std::filesystem;

class Resources : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "resources-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root = name;
  }
  void TearDown() override { fs::remove_all(root); }
  void file(const std::string& name) {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name) << "x";
  }

  fs::path root;
};

TEST_F(Resources, TheLibraryIsBesideTheProgramThenInThePrefixThenInTheSourceTree) {
  file("source/scenarios/a.yaml");
  EXPECT_EQ(library_folder_for(root / "prefix/bin/tscsim", root / "source"), root / "source/scenarios");
  file("prefix/share/tscsim/scenarios/a.yaml");
  EXPECT_EQ(library_folder_for(root / "prefix/bin/tscsim", root / "source"), root / "prefix/share/tscsim/scenarios");
  file("prefix/bin/share/tscsim/scenarios/a.yaml");
  EXPECT_EQ(library_folder_for(root / "prefix/bin/tscsim", root / "source"),
            root / "prefix/bin/share/tscsim/scenarios");
}

TEST_F(Resources, ACompanionIsBesideTheProgramOrInThePrefix) {
  file("prefix/lib/tscsim/tscsim-init");
  EXPECT_EQ(companion_for(root / "prefix/bin/tscsim", "tscsim-init"), root / "prefix/lib/tscsim/tscsim-init");
  file("prefix/bin/tscsim-init");
  EXPECT_EQ(companion_for(root / "prefix/bin/tscsim", "tscsim-init"), root / "prefix/bin/tscsim-init");
}

TEST_F(Resources, WhatIsMissingIsNamedWithThePlaces) {
  try {
    library_folder_for(root / "bin/tscsim", root / "source");
    FAIL() << "found a library where there is none";
  } catch (const ResourceMissing& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("library of scenarios and procedures is missing"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr((root / "share/tscsim/scenarios").string()));
    EXPECT_THAT(error.what(), ::testing::HasSubstr((root / "source/scenarios").string()));
  }
  EXPECT_THROW(companion_for(root / "bin/tscsim", "tscsim-init"), ResourceMissing);
}

}  // namespace
}  // namespace tscsim::base
