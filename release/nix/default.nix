# Builds manifest-tool from this source tree: nix-build release/nix
# For an overlay: manifest-tool = final.callPackage ./release/nix { };
# Needs a nixpkgs with Rust 1.89 or newer.
{
  pkgs ? import <nixpkgs> { },
  lib ? pkgs.lib,
  stdenv ? pkgs.stdenv,
  rustPlatform ? pkgs.rustPlatform,
  installShellFiles ? pkgs.installShellFiles,
}:

rustPlatform.buildRustPackage {
  pname = "manifest-tool";
  version = (lib.importTOML ../../Cargo.toml).package.version;

  src = lib.fileset.toSource {
    root = ../..;
    fileset = lib.fileset.unions [
      ../../Cargo.toml
      ../../Cargo.lock
      ../../README.md
      ../../src
      ../../bench
      ../../examples
      ../../integration
    ];
  };
  # Every dependency is in the lock file with its checksum, so there is no hash to update.
  cargoLock.lockFile = ../../Cargo.lock;

  buildType = "dist";
  buildFeatures = [ "man-pages" ];
  # The tests start real registries and need the network interface of a machine.
  doCheck = false;

  nativeBuildInputs = [ installShellFiles ];
  postInstall =
    lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
      $out/bin/man-pages man
      installManPage man/*.1
      installShellCompletion --cmd manifest-tool \
        --bash <($out/bin/manifest-tool completion bash) \
        --zsh <($out/bin/manifest-tool completion zsh) \
        --fish <($out/bin/manifest-tool completion fish)
    ''
    + ''
      rm $out/bin/man-pages
    '';

  meta = {
    description = "Publish images that were built per platform as one multi-platform reference";
    homepage = "https://github.com/OWNER/manifest-tool";
    license = lib.licenses.asl20;
    mainProgram = "manifest-tool";
    platforms = lib.platforms.linux ++ lib.platforms.darwin;
  };
}
