// eve completion: scripts that teach shells the verbs and options of eve.
#include <algorithm>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "engine/cli/output.h"
#include "engine/cli/verbs.h"

namespace eve::cli {
namespace {

std::string VerbNames() {
  std::string names;
  for (const Verb* verb : Verbs()) {
    absl::StrAppend(&names, Absl(verb->name), " ");
  }
  names.pop_back();
  return names;
}

// In single quotes, for any shell.
std::string Quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

bool NamesDomain(const Verb& verb) {
  return verb.arguments.starts_with("DOMAIN");
}
bool NamesCollection(const Verb& verb) {
  return verb.arguments.find("COLLECTION") != std::string_view::npos;
}

// "a|b|c" of the verbs for which `fits`.
template <class Fits>
std::string Alternatives(const Fits& fits) {
  std::string names;
  for (const Verb* verb : Verbs()) {
    if (!fits(*verb)) continue;
    absl::StrAppend(&names, names.empty() ? "" : "|", Absl(verb->name));
  }
  return names;
}

// Options that take a file, and those that take something else.
std::string OptionsWithValue(const Verb& verb, bool file) {
  std::string names;
  for (const OptionSpec& option : verb.options) {
    if (option.value_name.empty() || (option.value_name == "FILE") != file) {
      continue;
    }
    absl::StrAppend(&names, names.empty() ? "" : "|", Absl(option.name));
  }
  return names;
}

// What is neither a verb nor an option.
void BashWords(std::string& script) {
  absl::StrAppend(
      &script,
      "  if [[ $word == -* ]]; then\n"
      "    mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
      "    return\n"
      "  fi\n"
      "  for ((i = 2; i < COMP_CWORD; ++i)); do\n"
      "    [[ ${COMP_WORDS[i]} == -* ]] && continue\n"
      "    [[ $words -eq 0 ]] && domain=${COMP_WORDS[i]}\n"
      "    words=$((words + 1))\n"
      "  done\n"
      "  case $verb/$words in\n"
      "    completion/0) mapfile -t COMPREPLY < <(compgen -W 'bash zsh fish' "
      "-- \"$word\") ;;\n"
      "    help/0) mapfile -t COMPREPLY < <(compgen -W ",
      Quoted(VerbNames()), " -- \"$word\") ;;\n");
  for (const Verb* verb : Verbs()) {
    if (!NamesDomain(*verb)) continue;
    absl::StrAppend(&script, "    ", Absl(verb->name),
                    "/0) mapfile -t COMPREPLY < <(compgen -f -- \"$word\") "
                    ";;\n");
    if (!NamesCollection(*verb)) continue;
    const bool any = verb->words_max == kWordsMax;
    absl::StrAppend(&script, "    ", Absl(verb->name), any ? "/*" : "/1",
                    ") _eve_collections \"$domain\" \"$word\" ;;\n");
  }
}

std::string Bash() {
  std::string script = absl::StrCat(
      "# bash completion of eve; made by 'eve completion bash'.\n"
      // Not compgen -W, which would expand what a name says.
      "_eve_collections() {\n"
      "  local name\n"
      "  while IFS= read -r name; do\n"
      "    [[ $name == \"$2\"* ]] && COMPREPLY+=(\"$name\")\n"
      "  done < <(eve dump -l \"$1\" 2>/dev/null)\n"
      "}\n"
      "_eve() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} "
      "before=${COMP_WORDS[COMP_CWORD-1]}\n"
      "  local verb=${COMP_WORDS[1]} options='' domain='' words=0 i\n"
      "  COMPREPLY=()\n"
      "  if [[ $COMP_CWORD -eq 1 ]]; then\n"
      "    mapfile -t COMPREPLY < <(compgen -W ",
      Quoted(VerbNames()),
      " -- \"$word\")\n    return\n  fi\n"
      "  case $verb in\n");
  for (const Verb* verb : Verbs()) {
    std::string options;
    for (const OptionSpec& option : verb->options) {
      absl::StrAppend(&options, options.empty() ? "" : " ", Absl(option.name));
    }
    absl::StrAppend(&script, "    ", Absl(verb->name),
                    ")\n      options=", Quoted(options), "\n");
    const std::string files = OptionsWithValue(*verb, /*file=*/true);
    const std::string values = OptionsWithValue(*verb, /*file=*/false);
    if (!files.empty() || !values.empty()) {
      absl::StrAppend(&script, "      case $before in\n");
      if (!files.empty()) {
        absl::StrAppend(&script, "        ", files,
                        ") mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); "
                        "return ;;\n");
      }
      if (!values.empty()) {
        absl::StrAppend(&script, "        ", values, ") return ;;\n");
      }
      absl::StrAppend(&script, "      esac\n");
    }
    absl::StrAppend(&script, "      ;;\n");
  }
  absl::StrAppend(&script, "  esac\n");
  BashWords(script);
  return script + "  esac\n}\ncomplete -o filenames -F _eve eve\n";
}

// Colons and brackets end parts of zsh's specifications.
std::string ZshText(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == ':' || c == '[' || c == ']') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string Zsh() {
  std::string script =
      "#compdef eve\n# zsh completion of eve; made by 'eve completion zsh'.\n"
      "_eve_collections() {\n"
      "  local -a names\n"
      "  names=(${(f)\"$(eve dump -l ${(Q)line[1]} 2>/dev/null)\"})\n"
      "  compadd -a names\n}\n"
      "_eve() {\n  local -a verbs line\n  local context state state_descr\n"
      "  typeset -A opt_args\n  verbs=(\n";
  for (const Verb* verb : Verbs()) {
    absl::StrAppend(
        &script, "    ",
        Quoted(absl::StrCat(Absl(verb->name), ":", ZshText(verb->summary))),
        "\n");
  }
  absl::StrAppend(&script,
                  "  )\n  if (( CURRENT == 2 )); then\n"
                  "    _describe verb verbs\n    return\n  fi\n"
                  "  local verb=$words[2]\n  shift words\n  (( CURRENT-- ))\n"
                  "  case $verb in\n");
  for (const Verb* verb : Verbs()) {
    if (verb->name == "help") {
      absl::StrAppend(&script, "    help) _describe verb verbs ;;\n");
      continue;
    }
    absl::StrAppend(&script, "    ", Absl(verb->name), ")\n      _arguments");
    for (const OptionSpec& option : verb->options) {
      std::string spec(option.name);
      const bool has_value = !option.value_name.empty();
      if (has_value && option.name.starts_with("--")) spec += "=";
      absl::StrAppend(&spec, "[", ZshText(option.help), "]");
      if (has_value) {
        absl::StrAppend(&spec, ":", Absl(option.value_name), ":",
                        option.value_name == "FILE" ? "_files" : "");
      }
      absl::StrAppend(&script, " \\\n        ", Quoted(spec));
    }
    if (verb->name == "completion") {
      absl::StrAppend(&script, " \\\n        '1:shell:(bash zsh fish)'");
    } else if (NamesDomain(*verb)) {
      absl::StrAppend(&script, " \\\n        '1:domain:_files'");
    }
    if (NamesCollection(*verb)) {
      const bool any = verb->words_max == kWordsMax;
      absl::StrAppend(&script, " \\\n        '", any ? "*" : "2",
                      ":collection:_eve_collections'");
    }
    absl::StrAppend(&script, "\n      ;;\n");
  }
  return script +
         "  esac\n}\n"
         "compdef _eve eve\n";
}

std::string Fish() {
  std::string script =
      "# fish completion of eve; made by 'eve completion fish'.\n"
      "function __eve_collections\n"
      "  set -l words (commandline -opc | string match -v -- '-*')\n"
      "  test (count $words) -ge 3; and eve dump -l $words[3] 2>/dev/null\n"
      "end\n";
  const auto add_verb = [&](std::string_view name, std::string_view summary) {
    absl::StrAppend(&script, "complete -c eve -f -n __fish_use_subcommand -a ",
                    Absl(name), " -d ", Quoted(summary), "\n");
  };
  for (const Verb* verb : Verbs()) add_verb(verb->name, verb->summary);
  for (const Verb* verb : Verbs()) {
    const std::string start =
        absl::StrCat("complete -c eve -n '__fish_seen_subcommand_from ",
                     Absl(verb->name), "'");
    for (const OptionSpec& option : verb->options) {
      const bool is_long = option.name.starts_with("--");
      absl::StrAppend(&script, start, is_long ? " -l " : " -s ",
                      Absl(option.name.substr(is_long ? 2 : 1)));
      if (option.value_name == "FILE") {
        absl::StrAppend(&script, " -r -F");
      } else if (!option.value_name.empty()) {
        absl::StrAppend(&script, " -x");
      }
      absl::StrAppend(&script, " -d ", Quoted(option.help), "\n");
    }
    if (NamesCollection(*verb)) {
      absl::StrAppend(&script, start, " -a '(__eve_collections)'\n");
    }
  }
  absl::StrAppend(
      &script,
      "complete -c eve -f -n '__fish_seen_subcommand_from "
      "completion' -a 'bash zsh fish'\n"
      "complete -c eve -f -n '__fish_seen_subcommand_from help' -a ",
      Quoted(VerbNames()), "\n");
  return script;
}

int RunCompletion(const CommandLine& line) {
  const std::string& shell = line.words()[0];
  if (shell == "bash") {
    Print(Bash());
  } else if (shell == "zsh") {
    Print(Zsh());
  } else if (shell == "fish") {
    Print(Fish());
  } else {
    return UsageError("completion", "bash, zsh or fish, not '" + shell + "'");
  }
  return kFine;
}

}  // namespace

const Verb& CompletionVerb() {
  static const auto* const kVerb = new Verb{
      .name = "completion",
      .arguments = "bash|zsh|fish",
      .summary = "print a script that completes eve's command line",
      .help =
          "For bash: eval \"$(eve completion bash)\" in ~/.bashrc. For zsh: "
          "write it to a file\n_eve in a folder of $fpath. For fish: write it "
          "to\n~/.config/fish/completions/eve.fish.",
      .words_min = 1,
      .words_max = 1,
      .options = {},
      .run = RunCompletion};
  return *kVerb;
}

}  // namespace eve::cli
