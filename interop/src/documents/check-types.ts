import { readFileSync } from "node:fs";
import ts from "typescript";
import { fileURLToPath } from "node:url";

const configuration = fileURLToPath(new URL("../../tsconfig.json", import.meta.url));

/**
 * What the compiler says about some files, with the settings of this package: one line for each error. What is declared and not used is
 * allowed, because examples show things.
 */
export function typeErrors(paths: readonly string[]): string[] {
  const { config } = ts.readConfigFile(configuration, (path) => readFileSync(path, "utf8")) as { config: unknown };
  const directory = fileURLToPath(new URL("../..", import.meta.url));
  const parsed = ts.parseJsonConfigFileContent(config, ts.sys, directory, undefined, configuration);
  const options: ts.CompilerOptions = {
    ...parsed.options,
    incremental: false,
    declaration: false,
    isolatedDeclarations: false,
    noUnusedLocals: false,
    noUnusedParameters: false,
  };
  delete options.tsBuildInfoFile;
  const extra = parsed.fileNames.filter((name) => name.endsWith(".d.ts"));
  const program = ts.createProgram([...paths, ...extra], options);
  return paths.flatMap((path) => {
    const source = program.getSourceFile(path);
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(describe);
  });
}

function describe(diagnostic: ts.Diagnostic): string {
  const message = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n");
  const { file, start } = diagnostic;
  if (file === undefined || start === undefined) {
    return message;
  }
  const { line } = file.getLineAndCharacterOfPosition(start);
  return `${file.fileName}:${String(line + 1)}: ${message}`;
}
