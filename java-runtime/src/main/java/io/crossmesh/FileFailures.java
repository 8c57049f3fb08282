package io.crossmesh;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;

/** Why a file cannot be used, in words for people: Java's own are names of classes. */
public final class FileFailures {
  private FileFailures() {}

  /** The reason, without the file's name. */
  public static String reason(IOException failure) {
    return switch (failure) {
      case NoSuchFileException _ -> "No such file or directory";
      case AccessDeniedException _ -> "Permission denied";
      case FileAlreadyExistsException _ -> "File exists";
      case NotDirectoryException _ -> "Not a directory";
      case FileSystemException known when known.getReason() != null ->
          String.valueOf(known.getReason());
      default -> failure.getMessage() == null ? "it failed" : failure.getMessage();
    };
  }
}
