"""Records of earlier versions, read as those of this one."""
