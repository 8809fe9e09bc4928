# A formula for a tap. release/recipes.sh fills in version, owner and checksums. In homebrew-core this name belongs to
# the Go program estesp/manifest-tool.
class ManifestTool < Formula
  desc "Publish images that were built per platform as one multi-platform reference"
  homepage "https://github.com/OWNER/manifest-tool"
  version "VERSION"
  license "Apache-2.0"

  on_macos do
    on_arm do
      url "https://github.com/OWNER/manifest-tool/releases/download/vVERSION/manifest-tool-VERSION-darwin-arm64.tar.gz"
      sha256 "SHA256-darwin-arm64"
    end
    on_intel do
      url "https://github.com/OWNER/manifest-tool/releases/download/vVERSION/manifest-tool-VERSION-darwin-amd64.tar.gz"
      sha256 "SHA256-darwin-amd64"
    end
  end

  on_linux do
    on_arm do
      url "https://github.com/OWNER/manifest-tool/releases/download/vVERSION/manifest-tool-VERSION-linux-arm64.tar.gz"
      sha256 "SHA256-linux-arm64"
    end
    on_intel do
      url "https://github.com/OWNER/manifest-tool/releases/download/vVERSION/manifest-tool-VERSION-linux-amd64.tar.gz"
      sha256 "SHA256-linux-amd64"
    end
  end

  def install
    bin.install "manifest-tool"
    man1.install Dir["man/*.1"]
    bash_completion.install "completions/manifest-tool.bash" => "manifest-tool"
    zsh_completion.install "completions/_manifest-tool"
    fish_completion.install "completions/manifest-tool.fish"
    doc.install "README.md", "CHANGELOG.md", "docs"
  end

  test do
    assert_equal "manifest-tool #{version}\n", shell_output("#{bin}/manifest-tool --version")
    (testpath/"app.yaml").write <<~YAML
      image: registry.example/app:v1
      manifests:
        - image: registry.example/app:v1-amd64
    YAML
    system bin/"manifest-tool", "lint", "app.yaml"
  end
end
