"""Speed and size on the reference work, printed beside floors measured in the same run; asserts nothing."""
